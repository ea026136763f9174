import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isForeignLayer} from '../../contracts/oci/media-type.ts';
import type {StoreEnd} from '../../contracts/transfer/transfer.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {withSignal, type Job} from './job.ts';
import {LayerArrivals} from './layer-arrivals.ts';
import {forEachLimited} from './limit.ts';
import {refKey, type Children} from './manifest.ts';
import {unpackTargets} from './unpack-targets.ts';
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
	const parts = [
		async (part: Job) => fetchLayers(part, layers, {arrivals, fetchLayer}),
		async (part: Job) => unpackAll(part, image, arrivals),
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

async function unpackAll(job: Job, {destination, descriptor, children}: Image, arrivals: LayerArrivals): Promise<void> {
	for (const target of await unpackTargets(job, destination, {descriptor, children})) {
		await unpackImage(job, target, {children, parents: [refKey(descriptor)], arrival: signal => async layer => arrivals.wait(layer, signal)});
	}
}
