import {withSignal, type Job} from './job.ts';
import {labelBlob} from './label-blob.ts';
import {chainOf, type ChainedLayer} from './layer-chain.ts';
import {forEachLimited, Slots} from './limit.ts';
import {parseConfig, type Children} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {largestFirst} from './largest-first.ts';
import {canAllBeApart, isUnpacked, unpackLayer} from './unpack-layer.ts';
import type {LayerArrival, Unpacking} from './unpack-targets.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

interface Image {
	readonly children: Children;
	readonly arrival: (signal: AbortSignal) => LayerArrival;
	readonly parents: readonly string[];
}

/**
 * Makes snapshots of an image's layers, several at once, each into a directory of its own while its bytes arrive; they are put one on
 * the other in their order. The largest are begun first, so that no core has nothing to do while the last one is.
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
	const top = chain.at(-1)?.chainId ?? lowest.chainId;
	if (!await isUnpacked(job, unpacking, top)) {
		await unpackChain(job, unpacking, chain, {arrival, parents});
	}
	await labelBlob(job, await job.scope.content.info(config.digest), {[`containerd.io/gc.ref.snapshot.${unpacking.snapshotterName}`]: top});
}

async function unpackChain(job: Job, unpacking: Unpacking, chain: readonly ChainedLayer[], {arrival, parents}: Omit<Image, 'children'>): Promise<void> {
	const stands = new Map(chain.map(({chainId}) => [chainId, Promise.withResolvers<void>()]));
	// All are begun, and hold a slot while they are at work only: whoever waits for a layer below keeps nobody from it.
	const slots = new Slots(job.settings.concurrentUnpacks);
	const order = canAllBeApart(unpacking) ? largestFirst(chain, ({descriptor}) => descriptor) : chain;
	await forEachLimited(order, {concurrency: order.length, signal: job.request.signal}, async (layer, signal) => {
		const below = layer.parent === '' ? undefined : stands.get(layer.parent);
		await unpackLayer(withSignal(job, signal), unpacking, {
			...layer,
			parents,
			arrival: arrival(signal),
			slots,
			parentStands: async () => below === undefined ? undefined : untilAborted(below.promise, signal),
		});
		stands.get(layer.chainId)?.resolve();
	});
}
