import {chmod, copyFile, mkdir, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {Status} from '../../api/gen/types/task/task.ts';
import {connect, isKeelsonError, type Client} from '../../client/index.ts';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../lib/ttrpc/typed-service.ts';
import {SpareDefinition, spareSocketPath} from '../../plugins/shim/protocol/spare-service.ts';
import {taskV2} from '../../plugins/shim/protocol/task-definition.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {Daemon} from '../helpers/daemon.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {pidfdsOf} from '../helpers/pidfds.ts';
import {until} from '../helpers/until.ts';
import {specOf} from '../shim/stage-spec.ts';
import {ExitLog} from './exit-log.ts';

/** No call may take longer, whatever was killed. */
const callMs = 30_000;

export type Target = 'daemon' | 'shim' | 'spare' | 'client';

/** A daemon that is killed time and again, with one container that must not notice. */
export class CrashStage implements AsyncDisposable {
	readonly daemon: Daemon;
	readonly namespace: string;
	readonly client: Client;
	readonly ctr: Ctr;
	readonly exits: ExitLog;
	readonly failpointFile: string;
	#staysPid = 0;

	private constructor(daemon: Daemon, failpointFile: string) {
		this.daemon = daemon;
		this.failpointFile = failpointFile;
		this.namespace = daemon.namespace('crash');
		this.client = connect(daemon.places.address, {namespace: this.namespace});
		this.ctr = daemon.ctr('1.6', this.namespace);
		this.exits = new ExitLog(this.client, this.namespace);
	}

	static async open(failpointFile: string): Promise<CrashStage> {
		const daemon = await Daemon.start(keelson(), {env: {KEELSON_FAILPOINT: failpointFile}});
		const stage = new CrashStage(daemon, failpointFile);
		try {
			await stage.#setUp();
			return stage;
		} catch (error) {
			await stage[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** A new one for each call. */
	get options(): {readonly signal: AbortSignal} {
		return {signal: AbortSignal.timeout(callMs)};
	}

	rootfs(id: string): string {
		return path.join(this.daemon.scratch, `rootfs-${id}`);
	}

	bundle(id: string): string {
		return path.join(this.daemon.places.state, 'io.containerd.runtime.v2.task', this.namespace, id);
	}

	async touch(id: string, name: string): Promise<void> {
		await writeFile(path.join(this.rootfs(id), 'tmp', name), '');
	}

	/** A container's record, without a task. */
	async container(id: string, script: string): Promise<void> {
		const rootfs = this.rootfs(id);
		await mkdir(path.join(rootfs, 'bin'), {recursive: true});
		await Promise.all(['proc', 'dev', 'sys', 'tmp', 'etc'].map(async name => mkdir(path.join(rootfs, name))));
		await copyFile('/usr/bin/busybox', path.join(rootfs, 'bin', 'busybox'));
		await chmod(path.join(rootfs, 'bin', 'busybox'), 0o755);
		await Promise.all(['sh', 'sleep'].map(async name => symlink('busybox', path.join(rootfs, 'bin', name))));
		const spec = specOf(['/bin/sh', '-c', script], {rootfs, terminal: false, sharesPids: false, cgroup: `/${this.namespace}/${id}`});
		await this.client.services.containers.create({container: {
			id, runtime: {name: 'io.containerd.runc.v2', options: undefined},
			spec: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Buffer.from(JSON.stringify(spec))},
		}}, this.options);
	}

	/** Undefined when there is no such task. */
	async task(id: string): Promise<{readonly status: Status; readonly pid: number; readonly exitStatus: number} | undefined> {
		try {
			const {process} = await this.client.services.tasks.get({containerId: id}, this.options);
			return process === undefined ? undefined : {status: process.status, pid: process.pid, exitStatus: process.exitStatus};
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return undefined;
			}
			throw error;
		}
	}

	/** Starts the daemon again if it is dead; resolves when the container that stays is known to run, as the same process. */
	async recover(): Promise<void> {
		await until('the container that stays to be known', async () => {
			// Each time: what was killed takes a while to be gone.
			if (!await isAlive(this.daemon.pid)) {
				await this.daemon.kill9();
				await this.daemon.start();
				await this.exits.listen();
			}
			const task = await this.task('stays').catch(() => undefined);
			return task?.status === Status.RUNNING && task.pid === this.#staysPid;
		}, {timeoutMs: 60_000});
	}

	/** Resolves when there is a spare that holds the container that stays: what is killed next is killed in peace. */
	async settle(): Promise<void> {
		await until('a spare that holds what it must', async () => this.#isHeld(this.#staysPid));
	}

	/** Resolves when there is a spare that holds a process, or no daemon any more that would have one made. */
	async untilHeld(pid: number): Promise<void> {
		await until('a spare that holds it', async () => await this.#isHeld(pid) || !await isAlive(this.daemon.pid));
	}

	async pidOf(target: Exclude<Target, 'client'>): Promise<number> {
		if (target === 'daemon') {
			return this.daemon.pid;
		}
		if (target === 'spare') {
			await using client = await connectTtrpc(spareSocketPath(this.daemon.places.address), this.options);
			return (await ttrpcClientFor(SpareDefinition, client).hello({}, this.options)).pid;
		}
		const {address} = JSON.parse(await readFile(path.join(this.bundle('stays'), 'bootstrap.json'), 'utf8')) as {address: string};
		await using client = await connectTtrpc(address.replace('unix://', ''), this.options);
		return (await ttrpcClientFor(taskV2, client).connect({id: 'stays'}, this.options)).shimPid;
	}

	/** The container that stays ends as containers do, and nothing at all is left. */
	async finish(): Promise<readonly string[]> {
		const {tasks, containers} = this.client.services;
		await tasks.kill({containerId: 'stays', signal: 9}, this.options);
		const {exitStatus} = await tasks.wait({containerId: 'stays'}, this.options);
		await tasks.delete({containerId: 'stays'}, this.options);
		await containers.delete({id: 'stays'}, this.options);
		const left = await until('nothing to be left', async () => {
			const found = await this.daemon.leftovers();
			return found.filter(one => !one.includes('containerd-shim')).length === 0 ? found : undefined;
		}).catch(async () => this.daemon.leftovers());
		left.push(...await pipesBelow(this.daemon.places.state), ...await pipesBelow(this.daemon.scratch));
		return [...exitStatus === 137 ? [] : [`exit status ${exitStatus} of a container that was killed`], ...left.filter(one => !one.includes('containerd-shim'))];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(this.failpointFile, {force: true});
		this.exits.close();
		this.client.close();
		await this.daemon[Symbol.asyncDispose]();
	}

	async #isHeld(held: number): Promise<boolean> {
		const pid = await this.pidOf('spare').catch(() => 0);
		return pid !== 0 && (await pidfdsOf(pid)).has(held);
	}

	async #setUp(): Promise<void> {
		await this.exits.listen();
		await this.container('stays', 'while :; do sleep 100; done');
		const {tasks} = this.client.services;
		this.#staysPid = (await tasks.create({containerId: 'stays'}, this.options)).pid;
		await tasks.start({containerId: 'stays'}, this.options);
		await this.settle();
	}
}

/** FIFOs in a directory: of bundles, whose logs are read through them, and of clients. */
async function pipesBelow(directory: string): Promise<readonly string[]> {
	const entries = await readdir(directory, {recursive: true, withFileTypes: true}).catch(() => []);
	return entries.filter(entry => entry.isFIFO()).map(({parentPath, name}) => `FIFO ${path.join(parentPath, name)}`);
}

async function isAlive(pid: number): Promise<boolean> {
	const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
	return stat !== '' && !/\) [ZX] /.test(stat);
}
