import {createHash} from 'node:crypto';
import path from 'node:path';
import {Readable} from 'node:stream';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {ImportEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {isZstd} from '../../lib/zstd/frames.ts';
import {compressBlob} from './compress-blob.ts';
import type {Job} from './job.ts';
import type {KeptArchive} from './keep-archive.ts';
import {keepBytes} from './keep-bytes.ts';
import {parseConfig} from './manifest.ts';
import {readDocument} from './read-document.ts';

interface Entry {
	readonly Config: string;
	readonly RepoTags: readonly string[];
	readonly Layers: readonly string[];
}

/** The images of a docker-archive: a manifest is made for each, which the archive itself does not have. */
export async function dockerImages(job: Job, archive: KeptArchive, source: ImportEnd): Promise<readonly Descriptor[]> {
	if (archive.manifest === undefined) {
		return [];
	}
	const roots: Descriptor[] = [];
	for (const entry of parseManifest(archive.manifest)) {
		const manifest = await makeManifest(job, {archive, entry, source});
		const tags = entry.RepoTags.length === 0 ? [undefined] : entry.RepoTags;
		for (const tag of tags) {
			roots.push(tag === undefined ? manifest : {...manifest, annotations: {'io.containerd.image.name': familiar(tag), 'org.opencontainers.image.ref.name': tag.slice(tag.lastIndexOf(':') + 1)}});
		}
	}
	return roots;
}

/** Docker's short names stand for the Hub's. */
function familiar(tag: string): string {
	const [first = '', ...rest] = tag.split('/');
	if (rest.length === 0) {
		return `docker.io/library/${tag}`;
	}
	return /[.:]/.test(first) || first === 'localhost' ? tag : `docker.io/${tag}`;
}

async function makeManifest(job: Job, {archive, entry, source}: {archive: KeptArchive; entry: Entry; source: ImportEnd}): Promise<Descriptor> {
	const config = fileOf(archive, entry.Config);
	const {platform} = parseConfig(await readDocument(job, config), config.digest);
	const layers: Descriptor[] = [];
	for (const name of entry.Layers) {
		layers.push(await layerOf(job, fileOf(archive, name), source));
	}
	const bytes = Buffer.from(JSON.stringify({
		schemaVersion: 2,
		mediaType: mediaTypes.dockerManifest,
		config: {mediaType: mediaTypes.dockerConfig, digest: config.digest, size: config.size},
		layers: layers.map(({mediaType, digest, size}) => ({mediaType, digest, size})),
	}));
	const digest = await keepBytes(job, Readable.from([bytes]), {size: bytes.length, expected: digestOf(bytes)});
	return {mediaType: mediaTypes.dockerManifest, digest, size: bytes.length, platform};
}

function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function layerOf(job: Job, file: {digest: Digest; size: number}, {forceCompress = false}: ImportEnd): Promise<Descriptor> {
	await using reader = await job.scope.content.open(file.digest);
	const [head = Buffer.alloc(0)] = await Array.fromAsync(reader.read({size: 4}));
	if (head[0] === 0x1f && head[1] === 0x8b) {
		return {mediaType: mediaTypes.dockerLayerGzip, ...file};
	}
	if (isZstd(head)) {
		return {mediaType: mediaTypes.ociLayerZstd, ...file};
	}
	return forceCompress ? {mediaType: mediaTypes.dockerLayerGzip, ...await compressBlob(job, file.digest)} : {mediaType: mediaTypes.dockerLayer, ...file};
}

function fileOf({files}: KeptArchive, name: string): {digest: Digest; size: number} {
	const file = files.get(path.posix.normalize(name));
	if (file === undefined) {
		throw new KeelsonError('NOT_FOUND', `archive lacks ${JSON.stringify(name.slice(0, 200))}, which its manifest.json names: not found`);
	}
	return file;
}

function parseManifest(bytes: Buffer): readonly Entry[] {
	let value: unknown;
	try {
		value = JSON.parse(bytes.toString('utf8'));
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', 'manifest.json of the archive is not JSON', {cause: error});
	}
	if (!Array.isArray(value)) {
		throw new KeelsonError('INVALID_ARGUMENT', 'manifest.json of the archive must be an array');
	}
	return value.map((one: unknown) => {
		if (typeof one !== 'object' || one === null || !('Config' in one) || typeof one.Config !== 'string' || !('Layers' in one)) {
			throw new KeelsonError('INVALID_ARGUMENT', 'manifest.json of the archive: each image needs Config and Layers');
		}
		return {Config: one.Config, Layers: strings(one.Layers), RepoTags: 'RepoTags' in one ? strings(one.RepoTags) : []};
	});
}

function strings(value: unknown): string[] {
	return Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}
