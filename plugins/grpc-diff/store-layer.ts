import {randomUUID} from 'node:crypto';
import type {ContentStore, ContentWriter} from '../../contracts/content/content.ts';
import type {ComparedLayer} from '../../contracts/diff/diff.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';

const UNCOMPRESSED = 'containerd.io/uncompressed';

export interface StoreLayerOptions {
	/** The ingest's; empty: one of its own, which is gone when this fails. */
	readonly ref: string;
	readonly labels: Labels;
	readonly signal: AbortSignal;
}

/** Makes a layer and puts it into content, labelled with its diffID; resolves as well when it was there already. */
export async function storeLayer(store: ContentStore, make: () => Promise<ComparedLayer>, {ref, labels, signal}: StoreLayerOptions): Promise<Descriptor> {
	const ownRef = ref === '' ? `diff-${randomUUID()}` : ref;
	try {
		// Before the layer is made: that holds mounts until its bytes are read.
		await using writer = await store.writer({ref: ownRef, signal});
		if (writer.status().offset > 0) {
			await writer.truncate(0);
		}
		return await write(store, writer, await make(), labels);
	} catch (error) {
		if (ref === '') {
			await store.abort(ownRef).catch(() => {});
		}
		throw error;
	}
}

async function write(store: ContentStore, writer: ContentWriter, {mediaType, bytes, diffId}: ComparedLayer, labels: Labels): Promise<Descriptor> {
	// A failure is told by the bytes as well, which are read first.
	diffId.catch(() => {});
	for await (const chunk of bytes) {
		await writer.write(chunk);
	}
	const size = writer.status().offset;
	const uncompressed = await diffId;
	const isPlain = mediaType === mediaTypes.ociLayer || mediaType === mediaTypes.dockerLayer;
	try {
		const digest = await writer.commit({labels: isPlain ? labels : {...labels, [UNCOMPRESSED]: uncompressed}});
		return {mediaType, digest, size};
	} catch (error) {
		if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
			throw error;
		}
		return {mediaType, digest: isPlain ? uncompressed : await existing(store, uncompressed, size), size};
	}
}

/** The blob that a commit found there before it: it was made of the same tar, and has as many bytes. */
async function existing(store: ContentStore, diffId: Digest, size: number): Promise<Digest> {
	for await (const info of store.list([`labels."${UNCOMPRESSED}"==${diffId}`])) {
		if (info.size === size) {
			return info.digest;
		}
	}
	throw new KeelsonError('INTERNAL', `a layer of diffID ${diffId} and ${size} bytes was here before, under a digest that no label tells`);
}
