import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isForeignLayer} from '../../contracts/oci/media-type.ts';
import type {StoreEnd} from '../../contracts/transfer/transfer.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {withSignal, type Job} from './job.ts';
import {largestFirst} from './largest-first.ts';
import {LayerArrivals} from './layer-arrivals.ts';
import {forEachLimited} from './limit.ts';
import {refKey, type Children} from './manifest.ts';
import {canAllBeApart} from './unpack-layer.ts';
import {unpackTargets, type Unpacking} from './unpack-targets.ts';
import {unpackImage} from './unpack.ts';

interface Image {
	readonly destination: StoreEnd;
	readonly descriptor: Descriptor;
	readonly children: Children;
}

type FetchLayer = (job: Job, layer: Descriptor) => Promise<void>;

/** Fetches an image's layers and unpacks them as they arrive. When either fails the other ends too, and is waited for. */
export async function pullLayers(job: Job, image: Image, fetchLayer: FetchLayer): Promise<void> {
	const {layers} = image.children;
	const arrivals = new LayerArrivals(layers);
	const targets = await unpackTargets(job, image.destination, image);
	const order = targets.every(canAllBeApart) ? largestFirst(layers, layer => layer) : layers;
	const parts = [
		async (part: Job) => fetchLayers(part, order, {arrivals, fetchLayer}),
		async (part: Job) => unpackAll(part, targets, image, arrivals),
	];
	await forEachLimited(parts, {concurrency: parts.length, signal: job.request.signal}, async (run, signal) => run(withSignal(job, signal)));
}

/** A layer that an image has twice is fetched once. */
async function fetchLayers(job: Job, layers: readonly Descriptor[], {arrivals, fetchLayer}: {arrivals: LayerArrivals; fetchLayer: FetchLayer}): Promise<void> {
	const unique = [...new Map(layers.map(layer => [layer.digest, layer])).values()];
	await forEachLimited(unique, {concurrency: job.settings.concurrentDownloads, signal: job.request.signal}, async (layer, signal) => {
		try {
			await fetchLayer(withSignal(job, signal), layer);
			arrivals.arrived(layer);
		} catch (error) {
			// Registries need not have foreign layers; the image is whole without them, unless it is to be unpacked.
			if (!isForeignLayer(layer.mediaType) || !isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
			arrivals.missing(layer, error);
		}
	});
}

async function unpackAll(job: Job, targets: readonly Unpacking[], {descriptor, children}: Image, arrivals: LayerArrivals): Promise<void> {
	for (const target of targets) {
		await unpackImage(job, target, {children, parents: [refKey(descriptor)], arrival: signal => async layer => arrivals.wait(layer, signal)});
	}
}
