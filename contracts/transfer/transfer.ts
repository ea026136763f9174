/**
 * Transfer: moves an image from a source to a destination; the one place where fetch, content, diff and snapshots meet.
 *
 *     registry ─► store   pull        store ─► registry   push        store ─► store    tag
 *     archive  ─► store   import      store ─► archive    export      archive ─► archive  echo
 *     archive  ─► container, container ─► archive         copy: a plain tar of files
 */

import {contract} from '../../kernel/contract.ts';
import type {RegistryOptions} from '../fetch/fetch.ts';
import type {ImageInfo} from '../metadata/metadata.ts';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Labels} from '../oci/labels.ts';
import type {Platform} from '../oci/platform.ts';

export interface RegistryEnd {
	readonly kind: 'registry';
	readonly reference: string;
	readonly options?: Omit<RegistryOptions, 'signal'>;
}

export interface ExtraReference {
	readonly name: string;
	/** `name` is a prefix, put before the name that the archive gives. */
	readonly isPrefix: boolean;
	readonly allowOverwrite: boolean;
	/** Adds `@digest` to the prefix. */
	readonly addDigest: boolean;
	/** With addDigest: only where the archive gives no name. */
	readonly skipNamedDigest: boolean;
}

/** Unpack images of this platform into this snapshotter; without one, the default is meant. */
export interface UnpackTarget {
	readonly platform?: Platform;
	readonly snapshotter?: string;
}

export interface StoreEnd {
	readonly kind: 'store';
	/** Image name; may be empty when importing. */
	readonly name: string;
	readonly labels?: Labels;
	/** None: every platform. */
	readonly platforms?: readonly Platform[];
	/** Keeps manifests of all platforms, layers of those asked for. */
	readonly allMetadata?: boolean;
	/** At most so many manifests of an index, best first; 0: no limit. */
	readonly manifestLimit?: number;
	readonly extraReferences?: readonly ExtraReference[];
	readonly unpacks?: readonly UnpackTarget[];
}

/** A tar that comes (an OCI layout or docker-archive, plain, gzip or zstd). */
export interface ImportEnd {
	readonly kind: 'import';
	readonly bytes: AsyncIterable<Uint8Array>;
	readonly mediaType: string;
	/** Layers that are not compressed become gzip. */
	readonly forceCompress?: boolean;
}

/** A tar that goes. */
export interface ExportEnd {
	readonly kind: 'export';
	write(chunk: Uint8Array): Promise<void>;
	readonly mediaType: string;
	readonly platforms?: readonly Platform[];
	readonly allPlatforms?: boolean;
	/** Leaves out docker-archive's manifest.json. */
	readonly skipCompatibilityManifest?: boolean;
	readonly skipNonDistributable?: boolean;
}

/** Files of a container, whether it runs or not. */
export interface ContainerEnd {
	readonly kind: 'container';
	readonly containerId: string;
	/** Resolved within the container's root. As a source: of the last part a link is followed where `/` or `/.` comes after it. As a destination: a directory that is there. */
	readonly path: string;
	/** As a source: a directory's own entry alone. A destination has no such thing. */
	readonly noWalk?: boolean;
	/** Owners are those of the container's ids; otherwise all is its root's. */
	readonly keepsOwners?: boolean;
}

export type TransferEnd = RegistryEnd | StoreEnd | ImportEnd | ExportEnd | ContainerEnd;

/** `event` is one of containerd's words (`waiting`, `downloading`, `extracting`, `complete`, `already exists`, …). */
export interface TransferProgress {
	readonly event: string;
	readonly name: string;
	readonly parents: readonly string[];
	/** Bytes so far, and in all. */
	readonly progress: number;
	readonly total: number;
	readonly descriptor?: Descriptor;
}

export interface TransferRequest {
	readonly namespace: string;
	/** The client's lease; without one the transfer makes its own and ends it. */
	readonly lease?: string;
	readonly source: TransferEnd;
	readonly destination: TransferEnd;
	readonly progress?: (progress: TransferProgress) => void;
	readonly signal: AbortSignal;
}

export interface Transfer {
	/**
	 * Resolves to the images that are there afterwards (pull, import, tag). Rejects with INVALID_ARGUMENT (the reference), UNIMPLEMENTED (a pair that makes no sense), and with
	 * whatever fetch, content, diff or snapshot rejected with; then no image, and nothing that a collection would not remove, is left. Of files that were being copied into a container those
	 * that came stay.
	 */
	transfer(request: TransferRequest): Promise<readonly ImageInfo[]>;
}

export const Transfer = contract('io.containerd.transfer.v1').for<Transfer>();
