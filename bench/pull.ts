import {succeed} from '../test/helpers/command.ts';
import {Registry} from '../test/helpers/registry.ts';
import {BigImages} from './big-images.ts';
import {compareTrees} from './compare-trees.ts';
import {withContestants} from './contestants.ts';
import {containerd16, containerd21, oursByClient, oursByTransfer, pullSeconds, withEntrant, withoutPrograms, type Entrant} from './entrants.ts';
import {onFreshDisk} from './fresh-disk.ts';
import {median, report, reportLimit, timed} from './measure.ts';
import {loadDuring} from './pull-load.ts';
import {shareFetchedAgain} from './resume.ts';
import {pushManyLayers, pushRelatives} from './small-images.ts';

const ROUNDS = 3;
const RESIDENT_MEGABYTES_MAX = 300;
const CALL_MS_MAX = 20;

/**
 * Pull and unpack of app:multi (9 layers, 55,975 entries) and others, each into a fresh daemon on a fresh file system; the registry's files are in the page cache. igzip
 * is on the PATH of all, but where it says otherwise.
 */
export async function benchPull(): Promise<void> {
	await using images = await BigImages.serve();
	await pulls(images);
	await onJournal(images);
	await load(images);
	await manyLayers();
	reportLimit('pull-fetched-again-after-kill-9', {ours: 100 * await shareFetchedAgain(), limit: 25, unit: '%'});
	await sameTrees(images);
}

async function pulls({multi, multiZstd}: BigImages): Promise<void> {
	const gzip = await seconds(ROUNDS, [oursByTransfer, oursByClient, containerd16, containerd21], multi);
	report('pull-transfer-vs-1.6', {ours: gzip(oursByTransfer), peer: gzip(containerd16), unit: 's', target: 0.25});
	report('pull-transfer-vs-2.1', {ours: gzip(oursByTransfer), peer: gzip(containerd21), unit: 's', target: 0.4});
	report('pull-unpack-app-multi', {ours: gzip(oursByClient), peer: gzip(containerd16), unit: 's', target: 0.4});
	const zlib = await seconds(1, Object.values(withoutPrograms), multi);
	report('pull-transfer-no-igzip-vs-1.6', {ours: zlib(withoutPrograms.oursByTransfer), peer: zlib(withoutPrograms.containerd16), unit: 's', target: 0.35});
	report('pull-client-no-igzip-vs-1.6', {ours: zlib(withoutPrograms.oursByClient), peer: zlib(withoutPrograms.containerd16), unit: 's', target: 0.5});
	const zstd = await seconds(ROUNDS, [oursByTransfer, containerd16, containerd21], multiZstd);
	report('pull-zstd-vs-1.6', {ours: zstd(oursByTransfer), peer: zstd(containerd16), unit: 's', target: 0.45});
	report('pull-zstd-vs-2.1', {ours: zstd(oursByTransfer), peer: zstd(containerd21), unit: 's', target: 0.65});
}

/** What syncfs costs is in ours already, which is durable when it is done; the peer leaves it to the kernel. */
async function onJournal({multi}: BigImages): Promise<void> {
	const [ours, peer] = [await pullAndSync(oursByTransfer, multi), await pullAndSync(containerd16, multi)];
	report('pull-ext4-vs-1.6', {ours: ours.pull, peer: peer.pull, unit: 's', target: 0.4});
	report('pull-ext4-syncfs-afterwards', {ours: ours.sync, peer: peer.sync, unit: 's'});
}

async function pullAndSync(entrant: Entrant, image: string): Promise<{pull: number; sync: number}> {
	return onFreshDisk('ext4', async disk => withEntrant(entrant, async ctr => {
		const pull = await pullSeconds(ctr, image);
		return {pull, sync: await timed(async () => succeed('sync', ['-f', disk], {timeoutMs: 120_000})) / 1000};
	}));
}

/** Memory and calls during a pull, and what a second pull takes. */
async function load({multi}: BigImages): Promise<void> {
	const again = async (entrant: Entrant): Promise<number> => onFreshDisk('tmpfs', async () => withEntrant(entrant, async (ctr, daemon) => {
		const {peakMegabytes, p99Ms} = await loadDuring(daemon, async () => pullSeconds(ctr, multi));
		if (daemon.kind === 'keelson') {
			reportLimit('pull-resident', {ours: peakMegabytes, limit: RESIDENT_MEGABYTES_MAX, unit: 'MB'});
			reportLimit('pull-unary-call-p99', {ours: p99Ms, limit: CALL_MS_MAX, unit: 'ms'});
		}
		const samples: number[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			samples.push(await pullSeconds(ctr, multi));
		}
		return median(samples);
	}));
	report('pull-again-vs-2.1', {ours: await again(oursByTransfer), peer: await again(containerd21), unit: 's', target: 0.5});
}

async function manyLayers(): Promise<void> {
	await using registry = await Registry.start();
	const many = await seconds(ROUNDS, [oursByTransfer, containerd16, containerd21], await pushManyLayers(registry));
	report('pull-40-layers-vs-1.6', {ours: many(oursByTransfer), peer: many(containerd16), unit: 's'});
	report('pull-40-layers-vs-2.1', {ours: many(oursByTransfer), peer: many(containerd21), unit: 's'});
	const relatives = await pushRelatives(registry);
	const four = async (entrant: Entrant): Promise<number> => onFreshDisk('tmpfs', async () => withEntrant(entrant, async ctr =>
		await timed(async () => Promise.all(relatives.map(async image => pullSeconds(ctr, image)))) / 1000));
	report('pull-4-relatives-at-once-vs-2.1', {ours: await four(oursByTransfer), peer: await four(containerd21), unit: 's'});
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

/** Pulls in turn, the first to go changing with each round; answers with medians. */
async function seconds(rounds: number, entrants: readonly Entrant[], image: string): Promise<(entrant: Entrant) => number> {
	const samples = new Map(entrants.map(entrant => [entrant, [] as number[]]));
	for (let round = 0; round < rounds; round++) {
		for (const entrant of [...entrants.slice(round % entrants.length), ...entrants.slice(0, round % entrants.length)]) {
			samples.get(entrant)?.push(await onFreshDisk('tmpfs', async () => withEntrant(entrant, async ctr => pullSeconds(ctr, image))));
		}
	}
	return entrant => median(samples.get(entrant) ?? []);
}
