import {setTimeout as sleep} from 'node:timers/promises';
import type {ContainerMonitor} from '../../contracts/container-monitor/container-monitor.ts';
import type {ContainerInfo, Metadata, Scope} from '../../contracts/metadata/metadata.ts';
import type {ProcessInfo, TaskManager, Tasks} from '../../contracts/task/task.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import {countOf, isRestarted, logOf, restartLabels} from './restart-policy.ts';

export interface RestartMonitorParts {
	readonly metadata: Pick<Metadata, 'namespaces' | 'scope' | 'watch'>;
	readonly tasks: Pick<TaskManager, 'tasks'>;
	readonly log: Logger;
	readonly intervalMs: number;
}

/** So many containers are seen to at the same time: each costs a runtime's start. */
const CONCURRENT_MAX = 4;
/** One that does not come about by then is left until the next time. */
const ACTION_MS = 60_000;

type Action = 'start' | 'stop' | undefined;

interface Watched {
	readonly scope: Scope;
	readonly container: ContainerInfo;
}

/** Starts containers whose labels say that they shall run, and stops those that shall not, every so often. */
export class RestartMonitor implements ContainerMonitor, AsyncDisposable {
	readonly #parts: RestartMonitorParts;
	readonly #stop = new AbortController();
	readonly #running: Promise<void>;
	readonly #watch: Disposable;
	#changes = 0;
	#found: {readonly changes: number; readonly watched: readonly Watched[]} | undefined;

	constructor(parts: RestartMonitorParts) {
		this.#parts = parts;
		this.#watch = parts.metadata.watch(() => {
			this.#changes++;
		});
		this.#running = this.#run();
	}

	async check(signal: AbortSignal = this.#stop.signal): Promise<void> {
		const queue = (await this.#watched()).values();
		await Promise.all(Array.from({length: CONCURRENT_MAX}, async () => {
			for (const watched of queue) {
				if (!signal.aborted) {
					await this.#see(watched, AbortSignal.any([signal, AbortSignal.timeout(ACTION_MS)]));
				}
			}
		}));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort(new KeelsonError('CANCELLED', 'the daemon stops'));
		this.#watch[Symbol.dispose]();
		await this.#running;
	}

	/** Those that have a wanted status. Looked for again only when something has changed: a host may have ten thousand containers, and none of these. */
	async #watched(): Promise<readonly Watched[]> {
		const changes = this.#changes;
		if (this.#found?.changes !== changes) {
			const {metadata} = this.#parts;
			const watched: Watched[] = [];
			for (const {name} of await metadata.namespaces.list()) {
				const scope = metadata.scope({namespace: name});
				const containers = await scope.containers.list([`labels.${JSON.stringify(restartLabels.status)}`]);
				watched.push(...containers.map(container => ({scope, container})));
			}
			this.#found = {changes, watched};
		}
		return this.#found.watched;
	}

	async #run(): Promise<void> {
		const {signal} = this.#stop;
		while (!signal.aborted) {
			await this.check().catch((error: unknown) => this.#parts.log.warn('containers could not be looked after', {error}));
			await sleep(this.#parts.intervalMs, undefined, {signal, ref: false}).catch(() => undefined);
		}
	}

	/** Never rejects. */
	async #see({scope, container}: Watched, signal: AbortSignal): Promise<void> {
		const tasks = this.#parts.tasks.tasks(scope.namespace);
		try {
			const task = await taskOf(tasks, container.id, signal);
			const action = actionFor(container, task, this.#parts.intervalMs);
			if (action === 'stop') {
				await end(tasks, container.id, signal);
			} else if (action === 'start') {
				await this.#start(scope, {container, tasks, hasTask: task !== undefined}, signal);
			}
		} catch (error) {
			if (!this.#stop.signal.aborted) {
				this.#parts.log.warn('a container could not be looked after', {namespace: scope.namespace, container: container.id, error});
			}
		}
	}

	async #start(scope: Scope, {container, tasks, hasTask}: {readonly container: ContainerInfo; readonly tasks: Tasks; readonly hasTask: boolean}, signal: AbortSignal): Promise<void> {
		const {id, snapshotter, snapshotKey} = container;
		const count = String(countOf(container.labels) + 1);
		// First: what fails to start counts too, or on-failure would never give up.
		const {labels} = await scope.containers.update({...container, labels: {[restartLabels.count]: count}}, [`labels.${restartLabels.count}`]);
		if (hasTask) {
			await end(tasks, id, signal);
		}
		const rootfs = snapshotKey === '' ? [] : await scope.snapshotter(snapshotter).mounts(snapshotKey);
		const log = logOf(labels);
		await tasks.create({containerId: id, rootfs, stdin: '', stdout: log, stderr: log, terminal: hasTerminal(container)}, signal);
		await tasks.start({containerId: id, execId: ''}, signal);
		this.#parts.log.info('started a container again', {namespace: scope.namespace, container: id, count});
	}
}

function actionFor({labels, updatedAt}: ContainerInfo, task: ProcessInfo | undefined, intervalMs: number): Action {
	const wanted = labels[restartLabels.status];
	// Nobody knows of the first; the second stands still because somebody wants it to.
	if (task?.status === 'unknown' || task?.status === 'paused' || task?.status === 'pausing' || task?.status === wanted) {
		return undefined;
	}
	if (wanted === 'stopped') {
		return task === undefined ? undefined : 'stop';
	}
	// A client that has just made it may be about to create its task, or to start it.
	if (wanted !== 'running' || (task?.status !== 'stopped' && Date.now() - updatedAt.getTime() < intervalMs)) {
		return undefined;
	}
	return isRestarted(labels, task?.status === 'stopped' ? task.exitStatus : undefined) ? 'start' : undefined;
}

async function taskOf(tasks: Tasks, containerId: string, signal: AbortSignal): Promise<ProcessInfo | undefined> {
	return tasks.get({containerId, execId: ''}, signal).catch(unlessGone);
}

async function end(tasks: Tasks, containerId: string, signal: AbortSignal): Promise<void> {
	const init = {containerId, execId: ''};
	await tasks.kill(init, 9, true, signal).catch(unlessGone);
	await tasks.wait(init, signal).catch(unlessGone);
	await tasks.delete(containerId, signal).catch(unlessGone);
}

function unlessGone(error: unknown): undefined {
	if (!isKeelsonError(error, 'NOT_FOUND')) {
		throw error;
	}
}

function hasTerminal({spec}: ContainerInfo): boolean {
	try {
		const parsed = JSON.parse(Buffer.from(spec?.value ?? []).toString('utf8')) as {readonly process?: {readonly terminal?: boolean}} | null;
		return parsed?.process?.terminal === true;
	} catch {
		// The runtime will say what is wrong with it.
		return false;
	}
}
