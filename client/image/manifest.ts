import {parseDescriptor, type Descriptor} from '../../contracts/oci/descriptor.ts';
import {isIndex} from '../../contracts/oci/media-type.ts';
import {formatPlatform, platformDistance, type Platform} from '../../contracts/oci/platform.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import {readDocument} from '../read-blob.ts';
import type {Services} from '../services.ts';

/** The parts of one platform's image. */
export interface Manifest {
	readonly descriptor: Descriptor;
	readonly config: Descriptor;
	readonly layers: readonly Descriptor[];
}

// An index may name an index; deeper than this nobody means it.
const DEPTH_MAX = 4;

/**
 * The manifest for a platform that an image's target leads to and whose bytes are there. Rejects with NOT_FOUND when there is none, with
 * INVALID_ARGUMENT when a document is not what its media type says.
 */
export async function findManifest(services: Pick<Services, 'content'>, target: Descriptor, platform: Platform, options: CallOptions = {}): Promise<Manifest> {
	const found = await search(services, target, platform, options, DEPTH_MAX);
	if (found === undefined) {
		throw new KeelsonError('NOT_FOUND', `no manifest for ${formatPlatform(platform)} is there below ${target.digest}`);
	}
	return found;
}

async function search(services: Pick<Services, 'content'>, target: Descriptor, platform: Platform, options: CallOptions, depth: number): Promise<Manifest | undefined> {
	const document = await present(services, target, options);
	if (document === undefined) {
		return undefined;
	}
	if (!isIndex(target.mediaType)) {
		return manifestOf(document, target);
	}
	if (depth === 0) {
		return undefined;
	}
	for (const each of bestFirst(descriptorsOf(document['manifests'], `${target.digest}: manifests`), platform)) {
		const found = await search(services, each, platform, options, depth - 1);
		if (found !== undefined) {
			return found;
		}
	}
	return undefined;
}

// A part of an index that nobody fetched is no error: another one may fit as well.
async function present(services: Pick<Services, 'content'>, {digest}: Descriptor, options: CallOptions): Promise<Readonly<Record<string, unknown>> | undefined> {
	try {
		return await readDocument(services, digest, options);
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return undefined;
		}
		throw error;
	}
}

function manifestOf(document: Readonly<Record<string, unknown>>, descriptor: Descriptor): Manifest {
	// A document of both shapes is read differently by different clients (CVE-2021-41190).
	if (document['manifests'] !== undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `${descriptor.digest} is called a manifest and has the parts of an index`);
	}
	return {
		descriptor,
		config: parseDescriptor(document['config'], `${descriptor.digest}: config`),
		layers: descriptorsOf(document['layers'] ?? [], `${descriptor.digest}: layers`),
	};
}

function descriptorsOf(value: unknown, where: string): readonly Descriptor[] {
	if (!Array.isArray(value)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where} is no list`);
	}
	return value.map((one, index) => parseDescriptor(one, `${where}[${index}]`));
}

function bestFirst(descriptors: readonly Descriptor[], platform: Platform): readonly Descriptor[] {
	const ranked = descriptors.map(descriptor => ({descriptor, distance: descriptor.platform === undefined ? Number.MAX_SAFE_INTEGER : platformDistance(platform, descriptor.platform)}));
	return ranked.filter((one): one is {descriptor: Descriptor; distance: number} => one.distance !== undefined)
		.toSorted((a, b) => a.distance - b.distance).map(({descriptor}) => descriptor);
}
