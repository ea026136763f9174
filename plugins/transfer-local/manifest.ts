import {parseDescriptor, type Descriptor} from '../../contracts/oci/descriptor.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {isConfig, isIndex, isLayer, isManifest} from '../../contracts/oci/media-type.ts';
import type {Platform} from '../../contracts/oci/platform.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** What a manifest or an index points to. */
export interface Children {
	readonly config?: Descriptor;
	readonly layers: readonly Descriptor[];
	readonly manifests: readonly Descriptor[];
	/** What it refers to (an artifact's subject); not fetched with it. */
	readonly subject?: Descriptor;
}

/** Manifests and indexes may have this many bytes. */
export const documentBytesMax = 8 * 1024 * 1024;
const CHILDREN_MAX = 10_000;

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a manifest or index. Rejects with INVALID_ARGUMENT what has the shape of both, or of the other kind than its media type says
 * (CVE-2021-41190), and what has a malformed descriptor.
 */
export function parseChildren(bytes: Uint8Array, {mediaType, digest}: Descriptor): Children {
	const document = parseJson(bytes, digest);
	const where = `${isIndex(mediaType) ? 'index' : 'manifest'} ${digest}`;
	const hasManifests = document['manifests'] !== undefined;
	const hasLayers = document['layers'] !== undefined || document['config'] !== undefined || document['fsLayers'] !== undefined;
	if (hasManifests && hasLayers) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where} has both manifests and layers: refused as ambiguous`);
	}
	if (isIndex(mediaType) ? hasLayers : hasManifests) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where} does not have the shape of its media type ${mediaType}`);
	}
	const said = document['mediaType'];
	if (typeof said === 'string' && said !== '' && said !== mediaType) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where} says that it is ${JSON.stringify(said.slice(0, 200))}, its descriptor says ${mediaType}`);
	}
	const subject = document['subject'] === undefined ? {} : {subject: parseDescriptor(document['subject'], where)};
	if (isIndex(mediaType)) {
		return {layers: [], manifests: listOf(document['manifests'], where), ...subject};
	}
	if (!hasLayers) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where} has neither config nor layers`);
	}
	return {
		manifests: [],
		layers: listOf(document['layers'], where),
		...(document['config'] === undefined ? {} : {config: parseDescriptor(document['config'], where)}),
		...subject,
	};
}

/** What unpacking needs of an image's config. */
export interface ImageConfig {
	readonly platform: Platform;
	readonly diffIds: readonly Digest[];
}

export function parseConfig(bytes: Uint8Array, digest: Digest): ImageConfig {
	const document = parseJson(bytes, digest);
	const rootfs = document['rootfs'];
	const ids = isRecord(rootfs) && Array.isArray(rootfs['diff_ids']) ? rootfs['diff_ids'] : [];
	const text = (name: string): string => typeof document[name] === 'string' ? document[name] : '';
	return {
		platform: {os: text('os'), architecture: text('architecture'), variant: text('variant')},
		diffIds: ids.slice(0, CHILDREN_MAX).map(id => parseDigest(typeof id === 'string' ? id : JSON.stringify(id))),
	};
}

/** Labels by which a parent keeps its children from being collected. */
export function childLabels({config, layers, manifests}: Children, isHere: (digest: Digest) => boolean = () => true): Record<string, string> {
	const labels: Record<string, string> = {};
	const add = (key: string, {digest}: Descriptor): void => {
		if (isHere(digest)) {
			labels[`containerd.io/gc.ref.content.${key}`] = digest;
		}
	};
	manifests.forEach((manifest, index) => {
		add(`m.${index}`, manifest);
	});
	if (config !== undefined) {
		add('config', config);
	}
	layers.forEach((layer, index) => {
		add(`l.${index}`, layer);
	});
	return labels;
}

/** The name of a descriptor in refs and progress: `layer-sha256:…`. */
export function refKey({mediaType, digest}: Descriptor): string {
	const kind = isIndex(mediaType) ? 'index' : isManifest(mediaType) ? 'manifest' : isLayer(mediaType) ? 'layer' : isConfig(mediaType) ? 'config' : 'unknown';
	return `${kind}-${digest}`;
}

export function parseJson(bytes: Uint8Array, what: string): Json {
	let value: unknown;
	try {
		value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is not JSON`, {cause: error});
	}
	if (!isRecord(value)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is not a JSON object`);
	}
	return value;
}

function listOf(value: unknown, where: string): Descriptor[] {
	if (value === undefined || value === null) {
		return [];
	}
	if (!Array.isArray(value) || value.length > CHILDREN_MAX) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where} must list at most ${CHILDREN_MAX} descriptors`);
	}
	return value.map(one => parseDescriptor(one, where));
}

function isRecord(value: unknown): value is Json {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
