import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {isForeignLayer} from '../../contracts/oci/media-type.ts';
import type {StoreEnd} from '../../contracts/transfer/transfer.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {withSignal, type Job} from './job.ts';
import {largestFirst} from './largest-first.ts';
import {LayerArrivals} from './layer-arrivals.ts';
import {forEachLimited} from './limit.ts';
import {refKey, type Children} from './manifest.ts';
import {canAllBeApart} from './unpack-layer.ts';
import {likelyTargets, unpackTargets, type Unpacking} from './unpack-targets.ts';
import {unpackImage} from './unpack.ts';

interface Image {
	readonly destination: StoreEnd;
	readonly descriptor: Descriptor;
	readonly children: Children;
	/** Of its blobs, those that need not be fetched. */
	readonly here: ReadonlySet<Digest>;
}

type FetchBlob = (job: Job, blob: Descriptor) => Promise<void>;

/**
 * Fetches an image's config and layers and unpacks them as they arrive. When either fails the other ends too, and is waited for. The layers do not wait for the
 * config, which only says what they become: it comes first, beside them, and a registry that is far away is asked once less in a row.
 */
export async function pullLayers(job: Job, image: Image, fetch: FetchBlob): Promise<void> {
	const {destination, descriptor, children: {config, layers}, here} = image;
	const arrivals = new LayerArrivals(config === undefined ? layers : [config, ...layers]);
	// Nothing is fetched for a target that cannot be, where that can be known before.
	const isKnown = config === undefined || here.has(config.digest) || descriptor.platform !== undefined;
	const known = isKnown ? await unpackTargets(job, destination, image) : undefined;
	const canBeApart = (known ?? await likelyTargets(job, destination)).every(canAllBeApart);
	const order = canBeApart ? largestFirst(layers, layer => layer) : layers;
	const unpack = async (part: Job): Promise<void> => {
		if (config !== undefined) {
			await arrivals.wait(config, part.request.signal);
		}
		await unpackAll(part, known ?? await unpackTargets(part, destination, image), image, arrivals);
	};
	const parts = [
		async (part: Job) => fetchBlobs(part, config === undefined ? order : [config, ...order], {arrivals, fetch}),
		unpack,
	];
	await forEachLimited(parts, {concurrency: parts.length, signal: job.request.signal}, async (run, signal) => run(withSignal(job, signal)));
}

/** What an image has twice is fetched once. */
async function fetchBlobs(job: Job, blobs: readonly Descriptor[], {arrivals, fetch}: {arrivals: LayerArrivals; fetch: FetchBlob}): Promise<void> {
	const unique = [...new Map(blobs.map(blob => [blob.digest, blob])).values()];
	await forEachLimited(unique, {concurrency: job.settings.concurrentDownloads, signal: job.request.signal}, async (blob, signal) => {
		try {
			await fetch(withSignal(job, signal), blob);
			arrivals.arrived(blob);
		} catch (error) {
			// Registries need not have foreign layers; the image is whole without them, unless it is to be unpacked.
			if (!isForeignLayer(blob.mediaType) || !isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
			arrivals.missing(blob, error);
		}
	});
}

async function unpackAll(job: Job, targets: readonly Unpacking[], {descriptor, children}: Image, arrivals: LayerArrivals): Promise<void> {
	for (const target of targets) {
		await unpackImage(job, target, {children, parents: [refKey(descriptor)], arrival: signal => async layer => arrivals.wait(layer, signal)});
	}
}
