import {BigImages} from './big-images.ts';
import {withContestants, type Contestant} from './contestants.ts';
import {compareTrees} from './compare-trees.ts';
import {median, report, timed} from './measure.ts';

const ROUNDS = 3;

/** Pull and unpack of app:multi (9 layers, 55,975 entries) into fresh directories; the trees that come out are compared entry by entry. */
export async function benchPull(): Promise<void> {
	await using images = await BigImages.serve();
	const samples: {ours: number[]; peer: number[]} = {ours: [], peer: []};
	for (let round = 0; round < ROUNDS; round++) {
		await withContestants('pull', async (ours, peer) => {
			for (const contestant of round % 2 === 0 ? [ours, peer] : [peer, ours]) {
				samples[contestant.who].push(await pullSeconds(contestant, images.multi));
			}
			if (round === ROUNDS - 1) {
				const {entries, differences} = await compareTrees(ours, peer, images.multi);
				console.log(`  app:multi unpacked by both: ${entries} entries, ${differences.length} differ`);
				for (const line of differences.slice(0, 20)) {
					console.log(`    ${line}`);
				}
				if (differences.length > 0 || entries === 0) {
					process.exitCode = 1;
				}
			}
		});
	}
	report('pull-unpack-app-multi', {ours: median(samples.ours), peer: median(samples.peer), unit: 's'});
}

async function pullSeconds({ctr}: Contestant, image: string): Promise<number> {
	return await timed(async () => ctr.with({timeoutMs: 120_000}, 'images', 'pull', '--plain-http', image).then(({code, stderr}) => {
		if (code !== 0) {
			throw new Error(stderr);
		}
	})) / 1000;
}
