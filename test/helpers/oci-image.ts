import {createHash} from 'node:crypto';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import type {Registry} from './registry.ts';

export interface Blob {
	readonly mediaType: string;
	readonly digest: string;
	readonly bytes: Buffer;
}

/** A layer ready to be pushed, with the digest of the tar inside. */
export interface Layer extends Blob {
	readonly diffId: string;
}

export interface ImageConfig {
	readonly Env?: readonly string[];
	readonly Entrypoint?: readonly string[];
	readonly Cmd?: readonly string[];
	readonly WorkingDir?: string;
	readonly User?: string;
	readonly Labels?: Readonly<Record<string, string>>;
}

export interface Platform {
	readonly os: string;
	readonly architecture: string;
	readonly variant?: string;
}

export interface Image {
	readonly manifest: Blob;
	readonly config: Blob;
	readonly layers: readonly Layer[];
	readonly platform: Platform;
}

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';
export const indexType = 'application/vnd.oci.image.index.v1+json';
export const configType = 'application/vnd.oci.image.config.v1+json';
export const layerType = 'application/vnd.oci.image.layer.v1.tar';

export type Compression = 'gzip' | 'zstd' | 'none';

export function digestOf(bytes: Uint8Array): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function blob(mediaType: string, content: Uint8Array | object): Blob {
	const bytes = Buffer.from(content instanceof Uint8Array ? content : JSON.stringify(content));
	return {mediaType, digest: digestOf(bytes), bytes};
}

export function layer(tar: Buffer, compression: Compression = 'gzip'): Layer {
	const diffId = digestOf(tar);
	switch (compression) {
		case 'gzip': {
			return {...blob(`${layerType}+gzip`, gzipSync(tar, {level: 1})), diffId};
		}

		case 'zstd': {
			return {...blob(`${layerType}+zstd`, zstdCompressSync(tar)), diffId};
		}

		case 'none': {
			return {...blob(layerType, tar), diffId};
		}
	}
}

export function descriptor({mediaType, digest, bytes}: Blob): {mediaType: string; digest: string; size: number} {
	return {mediaType, digest, size: bytes.length};
}

export const hostArchitecture = process.arch === 'x64' ? 'amd64' : process.arch;

export function image(layers: readonly Layer[], config: ImageConfig = {}, platform: Platform = {os: 'linux', architecture: hostArchitecture}): Image {
	const configBlob = blob(configType, {
		created: '2025-01-01T00:00:00Z',
		...platform,
		config: {Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], ...config},
		rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
		history: layers.map((_, index) => ({created: '2025-01-01T00:00:00Z', created_by: `layer ${index}`})),
	});
	const manifest = blob(manifestType, {schemaVersion: 2, mediaType: manifestType, config: descriptor(configBlob), layers: layers.map(one => descriptor(one))});
	return {manifest, config: configBlob, layers, platform};
}

export function index(images: readonly Image[]): Blob {
	return blob(indexType, {
		schemaVersion: 2,
		mediaType: indexType,
		manifests: images.map(({manifest, platform}) => ({...descriptor(manifest), platform})),
	});
}

/** Stores an image with its blobs, under a tag or, for a part of an index, under its digest. Resolves with the name to pull. */
export async function pushImage(registry: Registry, name: string, tag: string | undefined, {manifest, config, layers}: Image): Promise<string> {
	const blobs = new Map([config, ...layers].map(one => [one.digest, one]));
	await Promise.all([...blobs.values()].map(async ({digest, bytes}) => registry.putBlob(name, digest, bytes)));
	await registry.putManifest(name, tag ?? manifest.digest, manifest.mediaType, manifest.bytes);
	return `${registry.host}/${name}:${tag ?? 'latest'}`;
}

export async function pushIndex(registry: Registry, name: string, tag: string, images: readonly Image[]): Promise<string> {
	for (const one of images) {
		await pushImage(registry, name, undefined, one);
	}

	const {mediaType, bytes} = index(images);
	await registry.putManifest(name, tag, mediaType, bytes);
	return `${registry.host}/${name}:${tag}`;
}
