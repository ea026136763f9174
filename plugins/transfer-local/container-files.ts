import {constants} from 'node:fs';
import {open, readFile} from 'node:fs/promises';
import type {CopyPlace, IdRange, TreeCopy} from '../../contracts/copy/copy.ts';
import type {ContainerInfo, ImageInfo} from '../../contracts/metadata/metadata.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {ProcessInfo} from '../../contracts/task/task.ts';
import type {ContainerEnd, ExportEnd, ImportEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {O_PATH} from '../../lib/sys/at.ts';
import type {Job} from './job.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

/** A tar of files goes into a directory of a container. */
export async function copyInto(job: Job, {bytes, mediaType}: ImportEnd, destination: ContainerEnd): Promise<readonly ImageInfo[]> {
	checkMediaType(mediaType);
	if (destination.noWalk === true) {
		throw new KeelsonError('INVALID_ARGUMENT', `no_walk means nothing for a path of container ${destination.containerId} that is written`);
	}
	await using found = await findPlace(job, destination, {isWritten: true});
	const {signal} = job.request;
	await copyOf(job).unpack(counted(job, bytes, destination), found.place, {keepsOwners: destination.keepsOwners ?? false, signal});
	return [];
}

/** Files of a container go as a tar. */
export async function copyFrom(job: Job, source: ContainerEnd, {write, mediaType}: ExportEnd): Promise<readonly ImageInfo[]> {
	checkMediaType(mediaType);
	await using found = await findPlace(job, source, {isWritten: false});
	const {signal} = job.request;
	const tar = await copyOf(job).pack(found.place, {walks: source.noWalk !== true, keepsOwners: source.keepsOwners ?? false, signal});
	for await (const chunk of counted(job, tar, source)) {
		await untilAborted(write(chunk), signal);
	}
	return [];
}

async function * counted(job: Job, bytes: AsyncIterable<Uint8Array>, {containerId, path}: ContainerEnd): AsyncGenerator<Uint8Array, void, undefined> {
	const name = `${containerId}:${path}`;
	let progress = 0;
	job.report('copying', name);
	for await (const chunk of bytes) {
		yield chunk;
		progress += chunk.length;
		job.report('copying', name, {progress});
	}
	job.report('copied', name, {progress, total: progress});
}

function copyOf({copy}: Job): TreeCopy {
	if (copy === undefined) {
		throw new KeelsonError('UNIMPLEMENTED', 'no plugin copies files of containers');
	}
	return copy;
}

function checkMediaType(mediaType: string): void {
	// What compresses what is sent is seen in its bytes.
	if (!['', 'application/x-tar', 'application/tar'].includes(mediaType.split(/[+;]/)[0] ?? '')) {
		throw new KeelsonError('UNIMPLEMENTED', `files are copied as application/x-tar, not as ${JSON.stringify(mediaType.slice(0, 200))}`);
	}
}

/** The tree that a container's processes see, or would see: with all its mounts while it has a process, its root file system otherwise. */
async function findPlace(job: Job, {containerId, path}: ContainerEnd, {isWritten}: {readonly isWritten: boolean}): Promise<{readonly place: CopyPlace} & AsyncDisposable> {
	const container = await job.scope.containers.get(parseIdentifier(containerId, 'container id'));
	const task = await taskOf(job, containerId);
	if (task !== undefined) {
		return liveTree(job, task, path);
	}
	const spec = specOf(container);
	if (isWritten && spec.root?.readonly === true) {
		throw new KeelsonError('FAILED_PRECONDITION', `cannot copy into container ${containerId}: its root file system is read-only`);
	}
	const ids = idsOf(spec);
	const tree = container.snapshotKey === '' ? ownRoot(containerId, spec) : {mounts: await job.scope.snapshotter(container.snapshotter).mounts(container.snapshotKey)};
	return {place: {tree, path, ...(ids === undefined ? {} : {ids})}, async [Symbol.asyncDispose]() {}};
}

async function taskOf({tasks, request: {namespace, signal}}: Job, containerId: string): Promise<ProcessInfo | undefined> {
	try {
		const task = await tasks?.tasks(namespace).get({containerId, execId: ''}, signal);
		if (task?.status === 'unknown') {
			throw new KeelsonError('UNAVAILABLE', `nobody knows whether container ${containerId} runs: its shim does not answer`);
		}
		return task === undefined || task.status === 'stopped' || task.pid <= 0 ? undefined : task;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return undefined;
		}
		throw error;
	}
}

async function liveTree(job: Job, {containerId, pid}: ProcessInfo, path: string): Promise<{readonly place: CopyPlace} & AsyncDisposable> {
	await using undo = new AsyncDisposableStack();
	const handle = undo.use(await open(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY).catch((error: unknown) => {
		throw new KeelsonError('ABORTED', `container ${containerId} ended while its files were asked for`, {cause: error});
	}));
	const ids = {uids: await readRanges(pid, 'uid_map'), gids: await readRanges(pid, 'gid_map')};
	// The number may be another process's by now.
	if ((await taskOf(job, containerId))?.pid !== pid) {
		throw new KeelsonError('ABORTED', `container ${containerId} ended while its files were asked for`);
	}
	const held = undo.move();
	return {place: {tree: {root: `/proc/self/fd/${handle.fd}`}, path, ids}, [Symbol.asyncDispose]: async () => held.disposeAsync()};
}

async function readRanges(pid: number, file: 'uid_map' | 'gid_map'): Promise<readonly IdRange[]> {
	const text = await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '0 0 4294967295');
	return text.trim().split('\n').map(line => {
		const [inside = 0, outside = 0, size = 0] = line.trim().split(/\s+/).map(Number);
		return {inside, outside, size};
	});
}

interface SpecParts {
	readonly root?: {readonly path?: string; readonly readonly?: boolean};
	readonly linux?: {
		readonly uidMappings?: readonly SpecRange[];
		readonly gidMappings?: readonly SpecRange[];
	};
}

interface SpecRange {
	readonly containerID: number;
	readonly hostID: number;
	readonly size: number;
}

function specOf({id, spec}: ContainerInfo): SpecParts {
	try {
		const parsed: unknown = JSON.parse(Buffer.from(spec?.value ?? []).toString('utf8'));
		return typeof parsed === 'object' && parsed !== null ? parsed : {};
	} catch (error) {
		throw new KeelsonError('FAILED_PRECONDITION', `the spec of container ${id} is no JSON`, {cause: error});
	}
}

function idsOf({linux}: SpecParts): CopyPlace['ids'] {
	const ranges = (mappings: readonly SpecRange[]): readonly IdRange[] => mappings.map(({containerID, hostID, size}) => ({inside: containerID, outside: hostID, size}));
	return linux?.uidMappings === undefined || linux.gidMappings === undefined ? undefined : {uids: ranges(linux.uidMappings), gids: ranges(linux.gidMappings)};
}

function ownRoot(containerId: string, {root}: SpecParts): {readonly root: string} {
	if (root?.path?.startsWith('/') !== true) {
		throw new KeelsonError('FAILED_PRECONDITION', `container ${containerId} has neither a task, nor a snapshot, nor an absolute root`);
	}
	return {root: root.path};
}
