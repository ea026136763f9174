import {randomBytes} from 'node:crypto';
import {Growth} from '../../contracts/content/growth.ts';
import type {AppliedLayer, ApplyOptions, LayerBytes} from '../../contracts/diff/diff.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import type {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {Job} from './job.ts';
import {openLayer} from './layer-bytes.ts';
import type {ChainedLayer} from './layer-chain.ts';
import type {Slots} from './limit.ts';
import {refKey} from './manifest.ts';
import type {LayerArrival, Unpacking} from './unpack-targets.ts';

export interface WantedLayer extends ChainedLayer {
	/** For progress. */
	readonly parents: readonly string[];
	readonly arrival: LayerArrival;
	/** One is held while it is worked on, and none while it waits for what is below. */
	readonly slots: Slots;
	/** Resolves once the snapshot below is there. */
	readonly parentStands: () => Promise<void>;
}

/** True when a layer's snapshot stands, and with it those below, which it needs; the job's lease protects it in any case. */
export async function isUnpacked(job: Job, unpacking: Unpacking, chainId: string): Promise<boolean> {
	await protect(job, unpacking.snapshotterName, chainId);
	return exists(unpacking, chainId);
}

/** Makes a layer's snapshot, or waits for whoever is at it. */
export async function unpackLayer(job: Job, unpacking: Unpacking, layer: WantedLayer): Promise<void> {
	await job.locks.run(`${job.scope.namespace} ${unpacking.snapshotterName} ${layer.chainId}`, job.request.signal, async () => {
		if (await isUnpacked(job, unpacking, layer.chainId)) {
			return;
		}
		try {
			await (layer.parent !== '' && canAllBeApart(unpacking) ? unpackApart(job, unpacking, layer) : unpackInOrder(job, unpacking, layer, true));
		} catch (error) {
			// It needs what is below, or the bytes that it followed were given up: in order, and of the whole blob, it goes.
			if (!isKeelsonError(error, 'ABORTED')) {
				throw error;
			}
			await unpackInOrder(job, unpacking, layer, false);
		}
	});
}

/** No layer but the lowest needs those below it. */
export function canAllBeApart({snapshotter, differ}: Unpacking): boolean {
	return snapshotter.canRebase === true && differ.applyApart !== undefined;
}

async function unpackApart(job: Job, unpacking: Unpacking, layer: WantedLayer): Promise<void> {
	const {differ, snapshotter} = unpacking;
	const {signal} = job.request;
	await asSnapshot(unpacking, layer, async (key, labels) => {
		const applied = await layer.slots.run(signal, async () => {
			const mounts = await snapshotter.prepare(key, '', {labels, signal, isApart: true});
			return await apply(job, layer, true, async (bytes, options) => differ.applyApart?.(bytes, mounts, options));
		});
		await layer.parentStands();
		if (applied?.needsJoin === true) {
			await withView(snapshotter, layer, async lower => applied.join(lower, signal));
		}
		await snapshotter.commit(layer.chainId, key, {labels, signal, parent: layer.parent});
	});
}

async function unpackInOrder(job: Job, unpacking: Unpacking, layer: WantedLayer, mayFollow: boolean): Promise<void> {
	const {differ, snapshotter} = unpacking;
	const {signal} = job.request;
	await layer.parentStands();
	await asSnapshot(unpacking, layer, async (key, labels) => {
		await layer.slots.run(signal, async () => {
			const mounts = await snapshotter.prepare(key, layer.parent, {labels, signal});
			await apply(job, layer, mayFollow, async (bytes, options) => differ.apply(bytes, mounts, options));
		});
		await snapshotter.commit(layer.chainId, key, {labels, signal});
	});
}

/** What was begun is removed when it fails; a snapshot that is there after all (a remote snapshotter may have it, without having been told its bytes) is no failure. */
async function asSnapshot({snapshotter}: Unpacking, {chainId}: ChainedLayer, make: (key: string, labels: Record<string, string>) => Promise<void>): Promise<void> {
	const key = temporaryKey('extract', chainId);
	try {
		await make(key, {'containerd.io/snapshot.ref': chainId});
	} catch (error) {
		// The failure that led here is the one to be told; what cannot be removed now is collected once the lease is gone.
		await snapshotter.remove(key).catch(() => undefined);
		if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
			throw error;
		}
		await snapshotter.stat(chainId);
	}
}

async function withView(snapshotter: Snapshotter, {parent, chainId}: ChainedLayer, work: (mounts: readonly Mount[]) => Promise<void>): Promise<void> {
	const key = temporaryKey('join', chainId);
	const mounts = await snapshotter.view(key, parent);
	try {
		await work(mounts);
	} finally {
		await snapshotter.remove(key);
	}
}

function temporaryKey(purpose: string, chainId: string): string {
	return `${purpose}-${Date.now()}-${randomBytes(3).toString('base64url')} ${chainId}`;
}

/** Whoever else made the snapshot may let it go at any time; the image's own reference to it stands only at the end. */
async function protect({scope: {leases, lease}}: Job, snapshotterName: string, chainId: string): Promise<void> {
	if (lease !== undefined) {
		await leases.add(lease, {type: `snapshots/${snapshotterName}`, id: chainId});
	}
}

/** Bytes that are followed were checked by nobody: what became of them counts once the blob has arrived, and why it did not is then the reason. */
async function apply<T extends AppliedLayer | undefined>(job: Job, layer: WantedLayer, mayFollow: boolean, run: (bytes: LayerBytes, options: ApplyOptions) => Promise<T>): Promise<T> {
	const {descriptor, diffId, parents, arrival} = layer;
	const name = refKey(descriptor);
	const {signal} = job.request;
	await using source = await openLayer(job, descriptor, {arrival, mayFollow});
	const arrived = arrival(descriptor).then(() => job.report('extracting', name, {parents, descriptor, total: descriptor.size}));
	arrived.catch(() => undefined);
	let applied: T;
	try {
		applied = await run(source.bytes, {signal, namespace: job.scope.namespace});
	} catch (error) {
		await arrived;
		const {growth} = source.bytes;
		// The blob is whole and right by now; those that were followed were not.
		throw growth !== undefined && new Growth(growth).isAbandoned ? new KeelsonError('ABORTED', `the bytes of layer ${descriptor.digest} were given up while it was applied`, {cause: error}) : error;
	}
	await arrived;
	if (applied?.digest !== diffId) {
		throw new KeelsonError('FAILED_PRECONDITION', `layer ${descriptor.digest} unpacks to ${applied?.digest ?? 'nothing'}, its config says ${diffId}`);
	}
	await job.scope.content.update(descriptor.digest, {'containerd.io/uncompressed': diffId}, ['labels.containerd.io/uncompressed']);
	job.report('extracted', name, {parents, descriptor, progress: descriptor.size, total: descriptor.size});
	return applied;
}

async function exists({snapshotter}: Unpacking, chainId: string): Promise<boolean> {
	try {
		await snapshotter.stat(chainId);
		return true;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return false;
		}
		throw error;
	}
}
