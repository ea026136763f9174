import {createHash} from 'node:crypto';
import {readFile, readdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {gunzipSync, gzipSync} from 'node:zlib';
import type {AppliedLayer, ComparedLayer, CompareOptions, Differ, LayerBytes} from '../../contracts/diff/diff.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Not a differ, but a stub for tests of what is above one: a tree is its files joined, in the order of their names, and a layer is that text, plain or gzip. */
export class FileDiffer implements Differ {
	async apply({descriptor, read}: LayerBytes, mounts: readonly Mount[]): Promise<AppliedLayer> {
		const bytes = Buffer.concat(await Array.fromAsync(read()));
		const plain = isGzip(descriptor.mediaType) ? gunzipSync(bytes) : bytes;
		await writeFile(path.join(sourceOf(mounts), 'applied'), plain);
		return {mediaType: mediaTypes.ociLayer, digest: digestOf(plain), size: plain.byteLength};
	}

	async compare(_: readonly Mount[], upper: readonly Mount[], {mediaType = mediaTypes.ociLayerGzip}: CompareOptions = {}): Promise<ComparedLayer> {
		const source = sourceOf(upper);
		const plain = Buffer.concat(await Promise.all((await readdir(source)).toSorted().map(async name => readFile(path.join(source, name)))));
		const bytes = isGzip(mediaType) ? gzipSync(plain) : plain;
		return {mediaType, diffId: Promise.resolve(digestOf(plain)), bytes: (async function* () {
			yield bytes;
		})()};
	}
}

function isGzip(mediaType: string): boolean {
	if (mediaType !== mediaTypes.ociLayer && mediaType !== mediaTypes.ociLayerGzip) {
		throw new KeelsonError('UNIMPLEMENTED', `media type ${mediaType}`);
	}
	return mediaType === mediaTypes.ociLayerGzip;
}

function sourceOf([mount]: readonly Mount[]): string {
	if (mount === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'there is no mount');
	}
	return mount.source;
}

function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
