/**
 * Diffs: a layer is the difference between two file trees, as a tar with whiteouts (image-spec layer.md).
 *
 *     apply(bytes, mounts)    makes of a parent's tree the child's
 *     compare(lower, upper)   makes of two trees the layer
 */

import {contract} from '../../kernel/contract.ts';
import type {Any} from '../oci/any.ts';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Digest} from '../oci/digest.ts';
import type {Mount} from '../oci/mount.ts';

/** A layer's bytes, as they are stored. */
export interface LayerBytes {
	readonly descriptor: Descriptor;
	/** Where the same bytes lie whole in a file, that file: then it is read instead of `read()`, by whatever thread does the work. */
	readonly file?: string;
	/** While that file is still being written: how far it is (see Growth of content). */
	readonly growth?: SharedArrayBuffer;
	read(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface ApplyOptions {
	/** For whom: a differ that shares content with others asks for it as this namespace. */
	readonly namespace?: string;
	/** For stream processors, by their ids in the configuration. */
	readonly payloads?: ReadonlyMap<string, Any>;
	/** Everything applied is on disk before apply resolves. */
	readonly syncFs?: boolean;
	readonly signal?: AbortSignal;
	/** Called now and then with the uncompressed bytes applied so far. */
	readonly progress?: (bytes: number) => void;
}

/** The uncompressed layer: its digest is the diffID. */
export interface AppliedLayer {
	readonly mediaType: string;
	readonly digest: Digest;
	/** Bytes of the tar. */
	readonly size: number;
}

/** A layer that was applied before the trees below it were there. */
export interface ApartLayer extends AppliedLayer {
	/** It has files in directories that it does not describe: those are not complete before `join`. */
	readonly needsJoin: boolean;
	/**
	 * Makes of the tree what applying in order would have made. `lower`: mounts of the tree below, read-only. Rejects with ABORTED where only applying in order does.
	 */
	join(lower: readonly Mount[], signal?: AbortSignal): Promise<void>;
}

export interface CompareOptions {
	/** For whom: a differ that shares content with others asks for it as this namespace. */
	readonly namespace?: string;
	/** An OCI or Docker layer type, plain, gzip or zstd; default gzip. Rejects with UNIMPLEMENTED for others. */
	readonly mediaType?: string;
	/** Time stamps beyond it are cut down to it. */
	readonly sourceDateEpoch?: Date;
	readonly signal?: AbortSignal;
}

export interface ComparedLayer {
	readonly mediaType: string;
	/** The layer's bytes, compressed as asked. */
	readonly bytes: AsyncIterable<Uint8Array>;
	/** Digest of the uncompressed tar; resolves when `bytes` have been read to their end. */
	readonly diffId: Promise<Digest>;
}

export interface Differ {
	/**
	 * Applies a layer onto the tree that `mounts` make. Nothing outside that tree is touched, whatever the archive says.
	 * Rejects with INVALID_ARGUMENT (not a tar, not this compression, an entry that points outside), DATA_LOSS (cut short),
	 * RESOURCE_EXHAUSTED (a window of zstd that is larger than 128 MiB, or a full disk), UNIMPLEMENTED (media type), ABORTED (the growing file was given up), and where programs make the layer readable with
	 * FAILED_PRECONDITION (one cannot be started, or they go round in a circle) and UNKNOWN (one failed, in its own words). On failure the tree is in pieces, and the caller removes its snapshot.
	 */
	apply(layer: LayerBytes, mounts: readonly Mount[], options?: ApplyOptions): Promise<AppliedLayer>;
	/**
	 * Applies a layer to the upper directory of an overlay (`mounts`) whose lower layers are not there yet, so that several layers of an image are applied at once.
	 * Rejects as apply does; with ABORTED where the layer cannot be applied but in order, or its growing file was given up; with UNIMPLEMENTED for mounts that are no such directory.
	 * Absent where a differ cannot do that.
	 */
	applyApart?(layer: LayerBytes, mounts: readonly Mount[], options?: ApplyOptions): Promise<ApartLayer>;
	/** The layer that makes of `lower` (none: nothing) the tree of `upper`. Resources are held until `bytes` ends or is returned. */
	compare(lower: readonly Mount[], upper: readonly Mount[], options?: CompareOptions): Promise<ComparedLayer>;
}

export const Differ = contract('io.containerd.differ.v1').for<Differ>();
