import {access, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Status} from '../../api/gen/types/task/task.ts';
import {accepts} from '../../lib/listen/accepts.ts';
import {shimSocketPath} from '../../plugins/shim/protocol/shim-socket.ts';
import {command} from '../helpers/command.ts';
import {mountsUnder, tracesOf} from '../helpers/traces.ts';
import {until} from '../helpers/until.ts';
import type {CrashStage, Target} from './crash-stage.ts';

/** What a round does to its container, in order. */
export const steps = ['create', 'start', 'exec', 'exec-exit', 'exec-delete', 'exit', 'delete'] as const;
export type Step = (typeof steps)[number];

export interface Plan {
	readonly id: string;
	readonly targets: readonly Target[];
	/** A place in the program, or a time after a step began. */
	readonly at: {readonly failpoint: string} | {readonly step: Step; readonly afterMs: number};
}

const exitStatus = 43;
const execStatus = 5;
const script = `while [ ! -e /tmp/go ]; do sleep 0.02; done; exit ${exitStatus}`;
const execScript = `while [ ! -e /tmp/exec ]; do sleep 0.02; done; exit ${execStatus}`;

/** One container's life, in which processes are killed; rejects with what must not be. */
export async function playRound(stage: CrashStage, plan: Plan): Promise<void> {
	const {id, targets, at} = plan;
	const found: string[] = [];
	await stage.container(id, script);
	const pids = await Promise.all(targets.filter(one => one !== 'client').map(async one => stage.pidOf(one)));
	if ('failpoint' in at) {
		await writeFile(stage.failpointFile, `${at.failpoint} ${pids.join(' ')}\n`);
	}
	let asked: Step = 'create';
	const done = new Set<Step>();
	for (const step of steps) {
		asked = step;
		const killing = 'step' in at && at.step === step ? kill(pids, at.afterMs) : undefined;
		const client = targets.includes('client') && 'step' in at && at.step === step ? at.afterMs : undefined;
		const isDone = await play(stage, id, {step, killClientAfterMs: client}).then(wrong => {
			found.push(...wrong);
			return true;
		}, () => false);
		await killing;
		if (isDone && client === undefined) {
			done.add(step);
		}
		if (!isDone || killing !== undefined || client !== undefined) {
			break;
		}
	}
	await rm(stage.failpointFile, {force: true});
	await stage.recover().catch((error: unknown) => {
		throw new Error(`${JSON.stringify(plan)}: ${String(error)}`, {cause: error});
	});
	found.push(...await finish(stage, id, asked));
	found.push(...await toldOf(stage, plan, done));
	await stage.client.services.containers.delete({id}, stage.options);
	const left = await until('nothing of it to be left', async () => {
		if ((await leftOf(stage, id)).length === 0) {
			return [];
		}
		if (asked === 'create') {
			// The create of a client that was killed may come to its end only now, and nobody else takes away what it made.
			await finish(stage, id, asked).catch(() => undefined);
		}
		return undefined;
	}).catch(async () => leftOf(stage, id));
	found.push(...left);
	await rm(stage.rootfs(id), {recursive: true, force: true});
	await stage.settle();
	if (found.length > 0) {
		throw new Error(`${JSON.stringify(plan)}: ${found.join('; ')}`);
	}
}

async function kill(pids: readonly number[], afterMs: number): Promise<void> {
	await sleep(afterMs);
	for (const pid of pids) {
		try {
			process.kill(pid, 'SIGKILL');
		} catch {
			// It has ended: an older victim of this round was its daemon.
		}
	}
}

async function play(stage: CrashStage, id: string, {step, killClientAfterMs}: {readonly step: Step; readonly killClientAfterMs: number | undefined}): Promise<readonly string[]> {
	const {tasks} = stage.client.services;
	if (killClientAfterMs !== undefined) {
		await playByCtr(stage, id, step, killClientAfterMs);
		return [];
	}
	switch (step) {
		case 'create':
			await tasks.create({containerId: id}, stage.options);
			return [];
		case 'start':
			await tasks.start({containerId: id}, stage.options);
			return [];
		case 'exec': {
			const spec = {typeUrl: '', value: Buffer.from(JSON.stringify({args: ['/bin/sh', '-c', execScript], cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}}))};
			await tasks.exec({containerId: id, execId: 'beside', spec}, stage.options);
			const {pid} = await tasks.start({containerId: id, execId: 'beside'}, stage.options);
			// How one ends that is younger than what the spare is given nobody may know.
			await stage.untilHeld(pid);
			return [];
		}
		case 'exec-exit': {
			await stage.touch(id, 'exec');
			const exec = await tasks.wait({containerId: id, execId: 'beside'}, stage.options);
			return exec.exitStatus === execStatus ? [] : [`exit status ${exec.exitStatus} of its exec, expected ${execStatus}`];
		}
		case 'exec-delete': {
			const exec = await tasks.deleteProcess({containerId: id, execId: 'beside'}, stage.options);
			return exec.exitStatus === execStatus ? [] : [`its exec was deleted with exit status ${exec.exitStatus}, expected ${execStatus}`];
		}
		case 'exit':
			await stage.touch(id, 'go');
			await tasks.wait({containerId: id}, stage.options);
			return [];
		case 'delete':
			await tasks.delete({containerId: id}, stage.options);
			return [];
	}
}

/** The same with an unmodified client, which is killed. */
async function playByCtr(stage: CrashStage, id: string, step: Step, afterMs: number): Promise<void> {
	const words: Readonly<Record<Step, readonly string[]>> = {
		create: ['tasks', 'start', '-d', id], start: ['tasks', 'start', '-d', id], exec: ['tasks', 'exec', '-d', '--exec-id', 'beside', id, '/bin/sh', '-c', execScript],
		// It deletes the execs that it has started itself, and no others.
		'exec-exit': ['tasks', 'attach', id], 'exec-delete': ['tasks', 'exec', '--exec-id', 'second', id, '/bin/sh', '-c', ':'], exit: ['tasks', 'attach', id], delete: ['tasks', 'rm', '--force', id],
	};
	// What it is killed for is not an error of this call.
	await command(stage.ctr.program, stage.ctr.arguments(words[step]), {timeoutMs: Math.max(1, afterMs)}).catch(() => undefined);
}

/** Ends what is left of the container as its client would, and says what should not be. */
async function finish(stage: CrashStage, id: string, asked: Step): Promise<readonly string[]> {
	const {tasks} = stage.client.services;
	const task = await until('the state to be known', async () => {
		const found = await stage.task(id);
		return found === undefined ? {status: undefined, exitStatus: 0} : found.status === Status.UNKNOWN ? undefined : found;
	});
	if (task.status === undefined) {
		return asked === 'create' || asked === 'delete' ? [] : [`the task is gone at ${asked}`];
	}
	const wasRunning = task.status === Status.RUNNING;
	if (wasRunning) {
		await stage.touch(id, 'go');
	} else if (task.status === Status.CREATED) {
		await tasks.kill({containerId: id, signal: 9}, stage.options);
	}
	const exit = await tasks.wait({containerId: id}, stage.options);
	await tasks.delete({containerId: id}, stage.options);
	const expected = task.status === Status.CREATED ? 137 : exitStatus;
	// A forced delete that was cut short has killed it.
	const isRight = exit.exitStatus === expected || (asked === 'delete' && exit.exitStatus === 137);
	return isRight ? [] : [`exit status ${exit.exitStatus} where it was ${task.status} at ${asked}, expected ${expected}`];
}

/** Once each; a client that listens to the next daemon a moment too late may have missed one. */
async function toldOf(stage: CrashStage, {id, targets}: Plan, done: ReadonlySet<Step>): Promise<readonly string[]> {
	const isHeard = !targets.includes('daemon') && targets.length > 0 && !targets.includes('client');
	const isExecExpected = isHeard && done.has('exec-exit');
	if (isExecExpected) {
		await until('the exit of its exec to be told', () => stage.exits.of(id, 'beside').length > 0).catch(() => undefined);
	}
	const isExpected = isHeard && await hadTask(stage, id);
	if (isExpected) {
		// It comes on a stream of its own, maybe after the answers to the calls.
		await until('its exit to be told', () => stage.exits.of(id).length > 0).catch(() => undefined);
	}
	const exits = stage.exits.of(id);
	const execs = stage.exits.of(id, 'beside');
	return [
		...exits.length > 1 ? [`its exit was told ${exits.length} times: ${exits.join(', ')}`] : [],
		...execs.length > 1 ? [`its exec's exit was told ${execs.length} times: ${execs.join(', ')}`] : [],
		...exits.some(status => ![exitStatus, 137].includes(status)) ? [`its exit was told as ${exits.join(', ')}`] : [],
		...exits.length === 0 && isExpected ? ['its exit was not told'] : [],
		...execs.length === 0 && isExecExpected ? ['the exit of its exec was not told'] : [],
		// One that is still there when its container ends goes with it.
		...execs.some(status => status !== execStatus && (status !== 137 || done.has('exec-exit'))) ? [`its exec's exit was told as ${execs.join(', ')}`] : [],
	];
}

async function hadTask(stage: CrashStage, id: string): Promise<boolean> {
	return access(path.join(stage.rootfs(id), 'tmp', 'go')).then(() => true, () => false);
}

async function leftOf(stage: CrashStage, id: string): Promise<readonly string[]> {
	const {state, root} = stage.daemon.places;
	const places = [
		stage.bundle(id), path.join(root, 'io.containerd.runtime.v2.task', stage.namespace, id), path.join(state, 'runc', stage.namespace, id),
		path.join(state, 'netns', `${stage.namespace}-${id}`),
	];
	const files = await Promise.all(places.map(async file => access(file).then(() => [file], () => [])));
	const {cgroups} = await tracesOf(path.join(stage.daemon.scratch, 'none'), new Set([stage.namespace]));
	const processes: string[] = [];
	for (const name of await readdir('/proc')) {
		if (/^\d+$/.test(name)) {
			const cgroup = await readFile(`/proc/${name}/cgroup`, 'utf8').catch(() => '');
			if (cgroup.includes(`/${stage.namespace}/${id}\n`)) {
				processes.push(`process ${name}`);
			}
		}
	}
	const socket = shimSocketPath(stage.daemon.places.address, stage.namespace, id);
	// The shim that was started for it may serve others.
	const hasSocket = await access(socket).then(() => true, () => false) && !await accepts(socket);
	return [...hasSocket ? [`socket ${socket}`] : [], ...files.flat(), ...(await mountsUnder(stage.bundle(id))).map(one => `mount ${one}`), ...cgroups.filter(one => path.basename(one) === id).map(one => `cgroup ${one}`), ...processes];
}
