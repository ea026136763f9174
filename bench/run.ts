import {Registry} from '../test/helpers/registry.ts';
import {pushTestImages} from '../test/helpers/test-images.ts';
import {amongAll, withPeers, type Contestant} from './contestants.ts';
import {percentile, report, timed} from './measure.ts';

const ROUNDS = 40;
/** All three are daemons in use: the first of each fill caches, and Node compiles what is used again and again. */
const WARM_ROUNDS = 20;
const PARALLEL = 8;
const PARALLEL_EACH = 6;

/** Of p50 at most, by the peer's name: what the issue of the runtime and the shim asks for. */
const TARGETS: Readonly<Record<string, {readonly run: number; readonly exec: number}>> = {'containerd 1.6': {run: 0.85, exec: 0.8}, 'containerd 2.1': {run: 0.65, exec: 0.8}};

/** `ctr run --rm busybox true`, one after another and eight at a time; and exec of `true`. */
export async function benchRun(): Promise<void> {
	await using registry = await Registry.start();
	const {busybox} = await pushTestImages(registry);
	await withPeers('run', ['1.6', '2.1'], async (ours, peers) => {
		const all = [ours, ...peers];
		for (const {ctr} of all) {
			await ctr.ok('images', 'pull', '--plain-http', busybox);
		}
		const [mine = [], ...theirs] = (await amongAll(WARM_ROUNDS + ROUNDS, all, async ({ctr}, round) =>
			timed(async () => ctr.ok('run', '--rm', busybox, `r${round}`, 'true')))).map(samples => samples.slice(WARM_ROUNDS));
		const [rate = [], ...rates] = await amongAll(3, all, async (contestant, round) => perSecond(contestant, busybox, round));
		for (const {ctr} of all) {
			await ctr.ok('run', '-d', busybox, 'sleeper', 'sleep', '1000');
		}
		const [exec = [], ...execs] = (await amongAll(WARM_ROUNDS + ROUNDS, all, async ({ctr}, round) =>
			timed(async () => ctr.ok('tasks', 'exec', '--exec-id', `e${round}`, 'sleeper', 'true')))).map(samples => samples.slice(WARM_ROUNDS));
		for (const [index, {name}] of peers.entries()) {
			const target = TARGETS[name];
			const of = name.replace('containerd ', '');
			for (const share of [0.5, 0.95]) {
				report(`run-rm-true-p${share * 100}-${of}`, {
					ours: percentile(mine, share), peer: percentile(theirs[index] ?? [], share), unit: 'ms', ...(share === 0.5 && target !== undefined ? {target: target.run} : {}),
				});
			}
			report(`run-rm-true-8-parallel-${of}`, {ours: percentile(rate, 0.5), peer: percentile(rates[index] ?? [], 0.5), unit: '/s', direction: 'throughput', ...(of === '1.6' ? {target: 0.833} : {})});
			report(`exec-true-p50-${of}`, {ours: percentile(exec, 0.5), peer: percentile(execs[index] ?? [], 0.5), unit: 'ms', ...(target === undefined ? {} : {target: target.exec})});
		}
		for (const {ctr} of all) {
			await ctr.ok('tasks', 'delete', '--force', 'sleeper');
			await ctr.ok('containers', 'rm', 'sleeper');
		}
	});
}

async function perSecond({ctr}: Contestant, image: string, round: number): Promise<number> {
	const elapsedMs = await timed(async () => Promise.all(Array.from({length: PARALLEL}, async (_, lane) => {
		for (let each = 0; each < PARALLEL_EACH; each++) {
			await ctr.ok('run', '--rm', image, `p${round}-${lane}-${each}`, 'true');
		}
	})));
	return PARALLEL * PARALLEL_EACH / (elapsedMs / 1000);
}
