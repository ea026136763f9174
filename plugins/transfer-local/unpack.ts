import {withSignal, type Job} from './job.ts';
import {labelBlob} from './label-blob.ts';
import {chainOf} from './layer-chain.ts';
import {forEachLimited} from './limit.ts';
import {parseConfig, type Children} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {unpackLayer} from './unpack-layer.ts';
import type {LayerArrival, Unpacking} from './unpack-targets.ts';
import {untilAborted} from './until-aborted.ts';

interface Image {
	readonly children: Children;
	readonly arrival: (signal: AbortSignal) => LayerArrival;
	readonly parents: readonly string[];
}

/**
 * Makes snapshots of an image's layers, several at once, each into a directory of its own while its bytes arrive; they are put one on
 * the other in their order.
 *
 *     layer 1  ══ apply ══ commit
 *     layer 2  ═══ apply ═══════ ─ commit on 1
 *     layer 3     ══ apply ══         ─ commit on 2
 */
export async function unpackImage(job: Job, unpacking: Unpacking, {children: {config, layers}, arrival, parents}: Image): Promise<void> {
	if (config === undefined) {
		return;
	}
	const chain = chainOf(layers, parseConfig(await readDocument(job, config), config.digest), config.digest);
	const [lowest] = chain;
	if (lowest === undefined) {
		return;
	}
	const stands = new Map(chain.map(({chainId}) => [chainId, Promise.withResolvers<void>()]));
	// In their order: whoever waits for a layer below waits for one that was begun before.
	await forEachLimited(chain, {concurrency: job.settings.concurrentUnpacks, signal: job.request.signal}, async (layer, signal) => {
		const below = layer.parent === '' ? undefined : stands.get(layer.parent);
		await unpackLayer(withSignal(job, signal), unpacking, {
			...layer,
			parents,
			arrival: arrival(signal),
			parentStands: async () => below === undefined ? undefined : untilAborted(below.promise, signal),
		});
		stands.get(layer.chainId)?.resolve();
	});
	await labelBlob(job, config.digest, {[`containerd.io/gc.ref.snapshot.${unpacking.snapshotterName}`]: chain.at(-1)?.chainId ?? lowest.chainId});
}
