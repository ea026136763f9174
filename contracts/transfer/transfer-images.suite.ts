import {createHash, randomBytes} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {encodeTarHeader, endMark, padding} from '../../lib/tar/tar-writer.ts';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Digest} from '../oci/digest.ts';
import {mediaTypes} from '../oci/media-type.ts';
import {hostPlatform, type Platform} from '../oci/platform.ts';

/** Bytes with the descriptor that names them. */
export interface Part extends Descriptor {
	readonly bytes: Buffer;
}

export interface MadeLayer extends Part {
	readonly diffId: Digest;
}

export interface MadeImage {
	readonly manifest: Part;
	readonly config: Part;
	readonly layers: readonly MadeLayer[];
}

export function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function partOf(mediaType: string, content: Uint8Array | object): Part {
	const bytes = Buffer.from(content instanceof Uint8Array ? content : JSON.stringify(content));
	return {mediaType, digest: digestOf(bytes), size: bytes.length, bytes};
}

export function descriptorOf({mediaType, digest, size, platform}: Descriptor): Descriptor {
	return {mediaType, digest, size, ...platform === undefined ? {} : {platform}};
}

/** A tar of files. */
export function tarOf(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
	const entries = Object.entries(files).flatMap(([name, content]) => {
		const bytes = Buffer.from(content);
		const header = encodeTarHeader({
			name: Buffer.from(name), type: 'file', mode: 0o644, uid: 0, gid: 0, size: bytes.length, mtimeNs: 0n,
			linkName: Buffer.alloc(0), device: {major: 0, minor: 0}, attributes: [],
		});
		return [header, bytes, padding(bytes.length)];
	});
	return Buffer.concat([...entries, endMark]);
}

/** A gzip layer that no other test has, of so many bytes at least. */
export function layerOf(bytes = 1000, tar = tarOf({[`file-${randomBytes(6).toString('hex')}`]: randomBytes(bytes)})): MadeLayer {
	return {...partOf(mediaTypes.ociLayerGzip, gzipSync(tar, {level: 1})), diffId: digestOf(tar)};
}

export function imageOf(layers: readonly MadeLayer[] = [layerOf(), layerOf()], platform: Platform = hostPlatform()): MadeImage {
	const config = partOf(mediaTypes.ociConfig, {...platform, made: randomBytes(6).toString('hex'), rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)}});
	return imageWith(config, layers, {}, platform);
}

/** An image whose manifest says something else too. */
export function imageWith(config: Part, layers: readonly MadeLayer[], more: object = {}, platform: Platform = hostPlatform()): MadeImage {
	const manifest = partOf(mediaTypes.ociManifest, {
		schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptorOf(config), layers: layers.map(layer => descriptorOf(layer)), ...more,
	});
	return {manifest: {...manifest, platform}, config, layers};
}

export function indexOf(manifests: readonly Descriptor[]): Part {
	return partOf(mediaTypes.ociIndex, {schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: manifests.map(one => descriptorOf(one))});
}

/** The names of an image's trees, lowest first (image-spec config.md, Layer ChainID). */
export function chainIds(layers: readonly MadeLayer[]): Digest[] {
	const chain: Digest[] = [];
	for (const {diffId} of layers) {
		const below = chain.at(-1);
		chain.push(below === undefined ? diffId : digestOf(Buffer.from(`${below} ${diffId}`)));
	}
	return chain;
}
