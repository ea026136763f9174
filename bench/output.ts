import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {connect} from '../client/index.ts';
import {makeFifo} from '../lib/sys/file-system.ts';
import {command} from '../test/helpers/command.ts';
import {Registry} from '../test/helpers/registry.ts';
import {createContainer, createTask} from '../test/helpers/task-client.ts';
import {pushTestImages} from '../test/helpers/test-images.ts';
import {tracesOf} from '../test/helpers/traces.ts';
import {inTurn, withContestants, type Contestant} from './contestants.ts';
import {median, report} from './measure.ts';

const MEBIBYTES = 1024;
const ROUNDS = 3;
/** USER_HZ. */
const TICK_MS = 10;

/** 1 GiB of a container's standard output through a FIFO to a client: how fast, and at what cost to daemon and shims. */
export async function benchOutput(): Promise<void> {
	await using registry = await Registry.start();
	const {busybox} = await pushTestImages(registry);
	await withContestants('output', async (ours, peer) => {
		const both = [ours, peer] as const;
		for (const {ctr} of both) {
			await ctr.ok('images', 'pull', '--plain-http', busybox);
		}
		const busy: Record<Contestant['who'], number[]> = {ours: [], peer: []};
		const rates = await inTurn(ROUNDS, both, async (contestant, round) => {
			const {rate, busyMs} = await pour(contestant, busybox, `o${round}`);
			busy[contestant.who].push(busyMs);
			return rate;
		});
		report('output-1GiB-rate', {ours: median(rates.ours), peer: median(rates.peer), unit: 'MiB/s', direction: 'throughput', target: 1});
		// In ticks of ten milliseconds; a ratio needs one at least on both sides.
		report('output-1GiB-processor-time', {ours: Math.max(median(busy.ours), TICK_MS), peer: Math.max(median(busy.peer), TICK_MS), unit: 'ms', target: 0.1});
	});
}

async function pour({daemon, ctr}: Contestant, image: string, id: string): Promise<{readonly rate: number; readonly busyMs: number}> {
	using client = connect(daemon.places.address, {namespace: ctr.namespace});
	const {tasks} = client.services;
	const fifo = path.join(daemon.scratch, id);
	makeFifo(fifo, 0o600);
	await createContainer(client, ctr, image, {id, args: ['dd', 'if=/dev/zero', 'bs=1M', `count=${MEBIBYTES}`]});
	const reader = command('sh', ['-c', 'wc -c <"$0"', fifo], {timeoutMs: 120_000});
	await createTask(client, id, {stdout: fifo, stderr: '/dev/null'});
	const pids = await ownProcesses(daemon.places.directory, daemon.pid);
	const before = await busyMsOf(pids);
	const began = performance.now();
	await tasks.start({containerId: id});
	const {stdout} = await reader;
	const elapsedMs = performance.now() - began;
	const busyMs = await busyMsOf(pids) - before;
	if (Number(stdout) !== MEBIBYTES * 1024 * 1024) {
		throw new Error(`${daemon.name}: ${stdout.trim()} bytes came, of ${MEBIBYTES} MiB`);
	}
	await tasks.wait({containerId: id});
	await tasks.delete({containerId: id});
	await ctr.ok('containers', 'rm', id);
	return {rate: MEBIBYTES / (elapsedMs / 1000), busyMs};
}

/** The daemon, and the shims that serve its containers. */
async function ownProcesses(directory: string, daemon: number): Promise<readonly number[]> {
	const {processes} = await tracesOf(directory, new Set());
	const shims = processes.filter(({pid, what}) => pid !== daemon && what.includes('containerd-shim')).map(({pid}) => pid);
	if (shims.length === 0) {
		throw new Error(`no shim of the daemon in ${directory} was found`);
	}
	return [daemon, ...shims];
}

/** Processor time that processes have had, proc_pid_stat(5): fields 14 and 15, after a name that may hold anything. */
async function busyMsOf(pids: readonly number[]): Promise<number> {
	const each = await Promise.all(pids.map(async pid => {
		const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
		const [utime = 0, stime = 0] = text.slice(text.lastIndexOf(')') + 2).split(' ').slice(11, 13).map(Number);
		return (utime + stime) * TICK_MS;
	}));
	return each.reduce((sum, one) => sum + one, 0);
}
