import {Registry} from '../test/helpers/registry.ts';
import {pushTestImages} from '../test/helpers/test-images.ts';
import {inTurn, withContestants, type Contestant} from './contestants.ts';
import {percentile, report, timed} from './measure.ts';

const ROUNDS = 30;
const PARALLEL = 8;
const PARALLEL_EACH = 6;

/** `ctr run --rm busybox true`, one after another and eight at a time; and exec of `true`. */
export async function benchRun(): Promise<void> {
	await using registry = await Registry.start();
	const {busybox} = await pushTestImages(registry);
	await withContestants('run', async (ours, peer) => {
		const both = [ours, peer] as const;
		for (const {ctr} of both) {
			await ctr.ok('images', 'pull', '--plain-http', busybox);
		}
		const runs = await inTurn(ROUNDS + 3, both, async ({ctr}, round) => timed(async () => ctr.ok('run', '--rm', busybox, `r${round}`, 'true')));
		// The first rounds warm caches on both sides.
		const [mine, theirs] = [runs.ours.slice(3), runs.peer.slice(3)];
		report('run-rm-true-p50', {ours: percentile(mine, 0.5), peer: percentile(theirs, 0.5), unit: 'ms'});
		report('run-rm-true-p95', {ours: percentile(mine, 0.95), peer: percentile(theirs, 0.95), unit: 'ms'});
		const rates = await inTurn(3, both, async (contestant, round) => perSecond(contestant, busybox, round));
		report('run-rm-true-8-parallel', {ours: percentile(rates.ours, 0.5), peer: percentile(rates.peer, 0.5), unit: '/s', direction: 'throughput'});
		for (const {ctr} of both) {
			await ctr.ok('run', '-d', busybox, 'sleeper', 'sleep', '1000');
		}
		const execs = await inTurn(ROUNDS, both, async ({ctr}, round) => timed(async () => ctr.ok('tasks', 'exec', '--exec-id', `e${round}`, 'sleeper', 'true')));
		report('exec-true-p50', {ours: percentile(execs.ours, 0.5), peer: percentile(execs.peer, 0.5), unit: 'ms'});
		for (const {ctr} of both) {
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
