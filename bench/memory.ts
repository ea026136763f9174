import {readFile, readdir} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {Registry} from '../test/helpers/registry.ts';
import {pushTestImages} from '../test/helpers/test-images.ts';
import {withContestants, withPeers, type Contestant} from './contestants.ts';
import {median, report, reportLimit} from './measure.ts';

const CONTAINERS = 20;

interface Memory {
	/** Megabytes: resident, proportional (shared pages divided among their users), private and written to. */
	readonly resident: number;
	readonly proportional: number;
	readonly privateDirty: number;
}

/** Of the daemon, and of the shims of twenty sleeping containers. */
export async function benchMemory(): Promise<void> {
	await using registry = await Registry.start();
	const {busybox} = await pushTestImages(registry);
	await withContestants('memory', async (ours, peer) => {
		for (const {ctr} of [ours, peer]) {
			await ctr.ok('images', 'pull', '--plain-http', busybox);
			for (let index = 0; index < CONTAINERS; index++) {
				await ctr.ok('run', '-d', busybox, `m${index}`, 'sleep', '1000');
			}
		}
		const [mine, theirs] = [await memoryOf(ours), await memoryOf(peer)];
		for (const kind of ['resident', 'privateDirty', 'proportional'] as const) {
			report(`daemon-${kind}`, {ours: mine.daemon[kind], peer: theirs.daemon[kind], unit: 'MB'});
			report(`shims-of-${CONTAINERS}-${kind}`, {ours: mine.shims[kind], peer: theirs.shims[kind], unit: 'MB'});
		}
		report(`daemon-and-shims-of-${CONTAINERS}-proportional`, {ours: mine.daemon.proportional + mine.shims.proportional, peer: theirs.daemon.proportional + theirs.shims.proportional, unit: 'MB'});
		for (const {ctr} of [ours, peer]) {
			for (let index = 0; index < CONTAINERS; index++) {
				await ctr.ok('tasks', 'delete', '--force', `m${index}`);
				await ctr.ok('containers', 'rm', `m${index}`);
			}
		}
	});
}

/** Of daemon and shims together, with a hundred containers, and with five hundred: as many as the issue of the runtime and the shim asks about. */
const MANY: readonly {readonly containers: number; readonly target: number}[] = [{containers: 100, target: 0.45}, {containers: 500, target: 0.15}];
const LANES = 4;
const RESTART_MAX_MS = 120_000;
const RESTARTS = 5;
const SETTLE_MS = 3000;

/** Many sleeping containers, beside those of containerd 2.1. */
export async function benchMany(): Promise<void> {
	await using registry = await Registry.start();
	const {busybox} = await pushTestImages(registry);
	await withPeers('many', ['2.1'], async (ours, [theirs]) => {
		const both = [ours, theirs as Contestant];
		for (const {ctr} of both) {
			await ctr.ok('images', 'pull', '--plain-http', busybox);
		}
		let running = 0;
		for (const {containers, target} of MANY) {
			const sums: number[] = [];
			for (const contestant of both) {
				await inLanes(running, containers, async index => contestant.ctr.ok('run', '-d', busybox, `m${index}`, 'sleep', '10000'));
				const {daemon, shims} = await memoryOf(contestant);
				sums.push(daemon.proportional + shims.proportional);
			}
			running = containers;
			const [mine = Number.NaN, peer = Number.NaN] = sums;
			report(`daemon-and-shims-of-${containers}-proportional`, {ours: mine, peer, unit: 'MB', target});
		}
		const restarts: Restart[] = [];
		for (const contestant of both) {
			restarts.push(await restart(contestant, running));
		}
		const [ours500, theirs500] = restarts as [Restart, Restart];
		report(`restart-with-${running}-answers`, {ours: ours500.answersMs, peer: theirs500.answersMs, unit: 'ms'});
		report(`restart-with-${running}-all-running`, {ours: ours500.allMs, peer: theirs500.allMs, unit: 'ms'});
		const clear = async ({ctr}: Contestant): Promise<void> => inLanes(0, running, async index => {
			await ctr.ok('tasks', 'delete', '--force', `m${index}`);
			await ctr.ok('containers', 'rm', `m${index}`);
		});
		await clear(theirs as Contestant);
		// On a machine that is quiet again.
		const alone: Restart[] = [];
		for (let round = 0; round < RESTARTS; round++) {
			await sleep(SETTLE_MS);
			alone.push(await restart(ours, running));
		}
		reportLimit(`restart-with-${running}-alone-answers`, {ours: median(alone.map(({answersMs}) => answersMs)), limit: 1000, unit: 'ms'});
		reportLimit(`restart-with-${running}-alone-all-running`, {ours: median(alone.map(({allMs}) => allMs)), limit: 3000, unit: 'ms'});
		await clear(ours);
	}, {readyMs: RESTART_MAX_MS});
}

interface Restart {
	/** From the start of the new daemon to its first answer, and until it says of every container that it runs. */
	readonly answersMs: number;
	readonly allMs: number;
}

async function restart({daemon, ctr}: Contestant, running: number): Promise<Restart> {
	await daemon.kill9();
	const began = performance.now();
	await daemon.start();
	const answersMs = performance.now() - began;
	while ((await ctr.ok('tasks', 'ls')).split('\n').filter(line => line.includes('RUNNING')).length < running) {
		if (performance.now() - began > RESTART_MAX_MS) {
			throw new Error(`${daemon.name} does not know its ${running} containers ${RESTART_MAX_MS} ms after its start`);
		}
	}
	return {answersMs, allMs: performance.now() - began};
}

async function inLanes(from: number, to: number, work: (index: number) => Promise<unknown>): Promise<void> {
	let next = from;
	await Promise.all(Array.from({length: LANES}, async () => {
		while (next < to) {
			await work(next++);
		}
	}));
}

async function memoryOf({daemon}: Contestant): Promise<{daemon: Memory; shims: Memory}> {
	const shims: Memory[] = [];
	for (const pid of await shimPids(daemon.places.directory)) {
		shims.push(await rollup(pid));
	}
	return {daemon: await rollup(daemon.pid), shims: shims.reduce(sum, {resident: 0, proportional: 0, privateDirty: 0})};
}

/** Programs whose command line names a shim and this daemon's directory, which both kinds are given as an address. */
async function shimPids(directory: string): Promise<number[]> {
	const pids: number[] = [];
	for (const name of await readdir('/proc')) {
		const line = /^\d+$/.test(name) ? await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '') : '';
		if (line.includes('containerd-shim') && line.includes(directory)) {
			pids.push(Number(name));
		}
	}
	return pids;
}

async function rollup(pid: number): Promise<Memory> {
	const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
	const megabytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024;
	return {resident: megabytes('Rss'), proportional: megabytes('Pss'), privateDirty: megabytes('Private_Dirty')};
}

function sum(a: Memory, b: Memory): Memory {
	return {resident: a.resident + b.resident, proportional: a.proportional + b.proportional, privateDirty: a.privateDirty + b.privateDirty};
}
