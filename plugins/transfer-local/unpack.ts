import {createHash, randomBytes} from 'node:crypto';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {parseConfig, refKey, type Children} from './manifest.ts';
import {readDocument} from './read-document.ts';
import type {Job} from './job.ts';
import type {LayerArrival, Unpacking} from './unpack-targets.ts';

interface Image {
	readonly children: Children;
	readonly arrival: LayerArrival;
	readonly parents: readonly string[];
}

interface Layer {
	readonly descriptor: Descriptor;
	readonly diffId: Digest;
	/** Names the tree of this layer and all below it (image-spec config.md, Layer ChainID). */
	readonly chainId: Digest;
	/** The chain id below; empty for the lowest. */
	readonly parent: string;
	readonly parents: readonly string[];
}

/** Makes snapshots of an image's layers, each as soon as it has arrived and the one below it stands. */
export async function unpackImage(job: Job, unpacking: Unpacking, {children: {config, layers}, arrival, parents}: Image): Promise<void> {
	if (config === undefined) {
		return;
	}
	const {diffIds} = parseConfig(await readDocument(job, config), config.digest);
	if (diffIds.length !== layers.length) {
		throw new KeelsonError('INVALID_ARGUMENT', `config ${config.digest} has ${diffIds.length} diff ids, its manifest has ${layers.length} layers`);
	}
	if (layers.length === 0) {
		return;
	}
	let parent: Digest | '' = '';
	for (const [index, descriptor] of layers.entries()) {
		const diffId = diffIds[index] as Digest;
		const chainId: Digest = parent === '' ? diffId : `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`;
		await arrival(descriptor);
		await unpackLayer(job, unpacking, {descriptor, diffId, chainId, parent, parents});
		parent = chainId;
	}
	const label = `containerd.io/gc.ref.snapshot.${unpacking.snapshotterName}`;
	await job.scope.content.update(config.digest, {[label]: parent}, [`labels.${label}`]);
}

async function unpackLayer(job: Job, unpacking: Unpacking, layer: Layer): Promise<void> {
	const {snapshotter, snapshotterName} = unpacking;
	const {signal} = job.request;
	await job.locks.run(`${job.scope.namespace} ${snapshotterName} ${layer.chainId}`, signal, async () => {
		await protect(job, snapshotterName, layer.chainId);
		if (await exists(unpacking, layer.chainId)) {
			return;
		}
		const key = `extract-${Date.now()}-${randomBytes(3).toString('base64url')} ${layer.chainId}`;
		const mounts = await prepare(unpacking, key, layer);
		if (mounts === undefined) {
			return;
		}
		try {
			await apply(job, unpacking, layer, mounts);
			await snapshotter.commit(layer.chainId, key, {labels: {'containerd.io/snapshot.ref': layer.chainId}, signal});
		} catch (error) {
			await removeTemporary(unpacking, key);
			if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
				throw error;
			}
		}
	});
}

/** The failure that led here is the one to be told; what cannot be removed now is collected once the lease is gone. */
async function removeTemporary({snapshotter}: Unpacking, key: string): Promise<void> {
	await snapshotter.remove(key).catch(() => undefined);
}

/** Whoever else made the snapshot may let it go at any time; the image's own reference to it stands only at the end. */
async function protect({scope: {leases, lease}}: Job, snapshotterName: string, chainId: Digest): Promise<void> {
	if (lease !== undefined) {
		await leases.add(lease, {type: `snapshots/${snapshotterName}`, id: chainId});
	}
}

/** Undefined when the snapshotter has the layer after all (a remote one may, without having been told its bytes). */
async function prepare({snapshotter}: Unpacking, key: string, {chainId, parent}: Layer): Promise<Awaited<ReturnType<typeof snapshotter.prepare>> | undefined> {
	try {
		return await snapshotter.prepare(key, parent, {labels: {'containerd.io/snapshot.ref': chainId}});
	} catch (error) {
		if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
			throw error;
		}
		await snapshotter.stat(chainId);
		return undefined;
	}
}

async function apply(job: Job, {differ}: Unpacking, {descriptor, diffId, parents}: Layer, mounts: Parameters<typeof differ.apply>[1]): Promise<void> {
	const name = refKey(descriptor);
	const {signal} = job.request;
	job.report('extracting', name, {parents, descriptor, total: descriptor.size});
	await using reader = await job.scope.content.open(descriptor.digest);
	const {file} = reader;
	const applied = await differ.apply({
		descriptor,
		...(file === undefined ? {} : {file}),
		read: own => reader.read({signal: own ?? signal}),
	}, mounts, {signal, namespace: job.scope.namespace});
	if (applied.digest !== diffId) {
		throw new KeelsonError('FAILED_PRECONDITION', `layer ${descriptor.digest} unpacks to ${applied.digest}, its config says ${diffId}`);
	}
	await job.scope.content.update(descriptor.digest, {'containerd.io/uncompressed': diffId}, ['labels.containerd.io/uncompressed']);
	job.report('extracted', name, {parents, descriptor, progress: descriptor.size, total: descriptor.size});
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
