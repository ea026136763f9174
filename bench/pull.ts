import {succeed} from '../test/helpers/command.ts';
import {Registry} from '../test/helpers/registry.ts';
import {BigImages} from './big-images.ts';
import {compareTrees} from './compare-trees.ts';
import {withContestants} from './contestants.ts';
import {containerd16, containerd21, oursByClient, oursByTransfer, pullSeconds, withEntrant, withoutPrograms, type Entrant} from './entrants.ts';
import {onFreshDisk} from './fresh-disk.ts';
import {median, report, reportLimit, timed} from './measure.ts';
import {loadDuring, type Load} from './pull-load.ts';
import {shareFetchedAgain} from './resume.ts';
import {pushManyLayers, pushRelatives} from './small-images.ts';

const ROUNDS = 3;
const RESIDENT_MEGABYTES_MAX = 300;
const CALL_MS_MAX = 20;

/**
 * Pulls of app:multi (9 layers, 55,975 entries) and of others, each into a fresh daemon on a fresh file system; the registry's files are in the page cache. igzip
 * is on the PATH of all, but where it says otherwise. Each contest stands alone, and takes some three minutes at most on a quiet machine.
 */
export const pullContests: Readonly<Record<string, () => Promise<void>>> = {
	'pull-gzip': withImages(gzip),
	'pull-zlib': withImages(zlib),
	'pull-zstd': withImages(zstd),
	'pull-ext4': withImages(onJournal),
	'pull-load': withImages(load),
	'pull-layers': manyLayers,
	'pull-resume': async () => reportLimit('pull-fetched-again-after-kill-9', {ours: 100 * await shareFetchedAgain(), limit: 25, unit: '%'}),
	'pull-trees': withImages(sameTrees),
};

function withImages(contest: (images: BigImages) => Promise<void>): () => Promise<void> {
	return async () => {
		await using images = await BigImages.serve();
		await contest(images);
	};
}

async function gzip({multi}: BigImages): Promise<void> {
	const taken = await seconds([oursByTransfer, oursByClient, containerd16, containerd21], multi);
	report('pull-transfer-vs-1.6', {ours: taken(oursByTransfer), peer: taken(containerd16), unit: 's', target: 0.25});
	report('pull-transfer-vs-2.1', {ours: taken(oursByTransfer), peer: taken(containerd21), unit: 's', target: 0.4});
	report('pull-unpack-app-multi', {ours: taken(oursByClient), peer: taken(containerd16), unit: 's', target: 0.4});
}

async function zlib({multi}: BigImages): Promise<void> {
	const taken = await seconds(Object.values(withoutPrograms), multi);
	report('pull-transfer-no-igzip-vs-1.6', {ours: taken(withoutPrograms.oursByTransfer), peer: taken(withoutPrograms.containerd16), unit: 's', target: 0.35});
	report('pull-client-no-igzip-vs-1.6', {ours: taken(withoutPrograms.oursByClient), peer: taken(withoutPrograms.containerd16), unit: 's', target: 0.5});
}

async function zstd({multiZstd}: BigImages): Promise<void> {
	const taken = await seconds([oursByTransfer, containerd16, containerd21], multiZstd);
	report('pull-zstd-vs-1.6', {ours: taken(oursByTransfer), peer: taken(containerd16), unit: 's', target: 0.45});
	report('pull-zstd-vs-2.1', {ours: taken(oursByTransfer), peer: taken(containerd21), unit: 's', target: 0.65});
}

/** What syncfs costs is in ours already, which is durable when it is done; the peer leaves it to the kernel. */
async function onJournal({multi}: BigImages): Promise<void> {
	const pulls = new Map<Entrant, number[]>();
	const syncs = new Map<Entrant, number[]>();
	for (const entrant of inTurns([oursByTransfer, containerd16])) {
		await onFreshDisk('ext4', async disk => withEntrant(entrant, async ctr => {
			add(pulls, entrant, await pullSeconds(ctr, multi));
			add(syncs, entrant, await timed(async () => succeed('sync', ['-f', disk], {timeoutMs: 120_000})) / 1000);
		}));
	}
	report('pull-ext4-vs-1.6', {ours: middle(pulls, oursByTransfer), peer: middle(pulls, containerd16), unit: 's', target: 0.4});
	report('pull-ext4-syncfs-afterwards', {ours: middle(syncs, oursByTransfer), peer: middle(syncs, containerd16), unit: 's'});
}

/** Memory and calls during a pull, and what a second pull takes. */
async function load({multi}: BigImages): Promise<void> {
	const loads: Load[] = [];
	const again = new Map<Entrant, number[]>();
	for (const entrant of inTurns([oursByTransfer, containerd21])) {
		await onFreshDisk('tmpfs', async () => withEntrant(entrant, async (ctr, daemon) => {
			const during = await loadDuring(daemon, async () => pullSeconds(ctr, multi));
			if (entrant === oursByTransfer) {
				loads.push(during);
			}
			for (let round = 0; round < ROUNDS; round++) {
				add(again, entrant, await pullSeconds(ctr, multi));
			}
		}));
	}
	reportLimit('pull-resident', {ours: Math.max(...loads.map(({peakMegabytes}) => peakMegabytes)), limit: RESIDENT_MEGABYTES_MAX, unit: 'MB'});
	reportLimit('pull-unary-call-p99', {ours: median(loads.map(({p99Ms}) => p99Ms)), limit: CALL_MS_MAX, unit: 'ms'});
	report('pull-again-vs-2.1', {ours: middle(again, oursByTransfer), peer: middle(again, containerd21), unit: 's', target: 0.5});
}

async function manyLayers(): Promise<void> {
	await using registry = await Registry.start();
	const many = await seconds([oursByTransfer, containerd16, containerd21], await pushManyLayers(registry));
	report('pull-40-layers-vs-1.6', {ours: many(oursByTransfer), peer: many(containerd16), unit: 's'});
	report('pull-40-layers-vs-2.1', {ours: many(oursByTransfer), peer: many(containerd21), unit: 's'});
	const relatives = await pushRelatives(registry);
	const four = new Map<Entrant, number[]>();
	for (const entrant of inTurns([oursByTransfer, containerd21])) {
		await onFreshDisk('tmpfs', async () => withEntrant(entrant, async ctr => {
			add(four, entrant, await timed(async () => Promise.all(relatives.map(async image => pullSeconds(ctr, image)))) / 1000);
		}));
	}
	report('pull-4-relatives-at-once-vs-2.1', {ours: middle(four, oursByTransfer), peer: middle(four, containerd21), unit: 's'});
}

async function sameTrees({multi}: BigImages): Promise<void> {
	await withContestants('trees', async (ours, peer) => {
		await pullSeconds(ours.daemon.ctr('2.1', ours.ctr.namespace), multi);
		await pullSeconds(peer.ctr, multi);
		const {entries, differences} = await compareTrees(ours, peer, multi);
		console.log(`  app:multi unpacked by both: ${entries} entries, ${differences.length} differ`);
		for (const line of differences.slice(0, 20)) {
			console.log(`    ${line}`);
		}
		if (differences.length > 0 || entries === 0) {
			process.exitCode = 1;
		}
	});
}

/** One pull of each in each round; answers with medians. */
async function seconds(entrants: readonly Entrant[], image: string): Promise<(entrant: Entrant) => number> {
	const samples = new Map<Entrant, number[]>();
	for (const entrant of inTurns(entrants)) {
		add(samples, entrant, await onFreshDisk('tmpfs', async () => withEntrant(entrant, async ctr => pullSeconds(ctr, image))));
	}
	return entrant => middle(samples, entrant);
}

/** Every entrant once in each round, the first to go changing with each. */
function inTurns(entrants: readonly Entrant[]): readonly Entrant[] {
	return Array.from({length: ROUNDS}, (_, round) => [...entrants.slice(round % entrants.length), ...entrants.slice(0, round % entrants.length)]).flat();
}

function add(samples: Map<Entrant, number[]>, entrant: Entrant, sample: number): void {
	samples.set(entrant, [...samples.get(entrant) ?? [], sample]);
}

function middle(samples: ReadonlyMap<Entrant, readonly number[]>, entrant: Entrant): number {
	return median(samples.get(entrant) ?? []);
}
