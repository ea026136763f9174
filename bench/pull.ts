import {Authority} from '../test/helpers/authority.ts';
import {succeed} from '../test/helpers/command.ts';
import {keelson} from '../test/helpers/keelson-program.ts';
import {Registry} from '../test/helpers/registry.ts';
import {BigImages} from './big-images.ts';
import {compareTrees} from './compare-trees.ts';
import {withContestants} from './contestants.ts';
import {clientSeconds, containerd16, containerd16ByDocker, containerd21, oursByClient, oursByCommand, oursByDocker, oursByTransfer, pullSeconds, withEntrant, withoutPrograms, type Entrant} from './entrants.ts';
import {onFreshDisk} from './fresh-disk.ts';
import {hostsDirectory} from './hosts-directory.ts';
import {farRegistry} from './pull-far.ts';
import {add, inTurns, middle} from './in-turns.ts';
import {median, report, reportLimit, timed} from './measure.ts';
import {loadDuring, type Load} from './pull-load.ts';
import {shareFetchedAgain} from './resume.ts';
import {pushManyLayers, pushRelatives} from './small-images.ts';

/** Second pulls in each round. */
const AGAIN = 3;
const RESIDENT_MEGABYTES_MAX = 300;
const CALL_MS_MAX = 20;

/**
 * Pulls of app:multi (9 layers, 55,975 entries) and of others, each into a fresh daemon on a fresh file system; the registry's files are in the page cache. igzip
 * is on the PATH of all, but where it says otherwise. Each contest stands alone, and takes some three minutes at most on a quiet machine.
 */
export const pullContests: Readonly<Record<string, () => Promise<void>>> = {
	'pull-gzip': withImages(gzip),
	'pull-docker': withImages(docker),
	'pull-tls': tls,
	'pull-zlib': withImages(zlib),
	'pull-zstd': withImages(zstd),
	'pull-ext4': withImages(onJournal),
	'pull-load': withImages(load),
	'pull-layers': manyLayers,
	'pull-far': farRegistry,
	'pull-resume': async () => reportLimit('pull-fetched-again-after-kill-9', {ours: 100 * await shareFetchedAgain(), limit: 25, unit: '%'}),
	'pull-trees': withImages(sameTrees),
};

function withImages(contest: (images: BigImages) => Promise<void>): () => Promise<void> {
	return async () => {
		await using images = await BigImages.serve();
		console.log('  the registry\'s files are in the page cache; the file systems that are written to are new');
		await contest(images);
	};
}

async function gzip({multi}: BigImages): Promise<void> {
	const taken = await seconds([oursByTransfer, oursByCommand, oursByClient, containerd16, containerd21], multi);
	report('pull-transfer-vs-1.6', {ours: taken(oursByTransfer), peer: taken(containerd16), unit: 's', target: 0.25});
	report('pull-transfer-vs-2.1', {ours: taken(oursByTransfer), peer: taken(containerd21), unit: 's', target: 0.4});
	report('pull-command-vs-1.6', {ours: taken(oursByCommand), peer: taken(containerd16), unit: 's', target: 0.25});
	report('pull-command-vs-2.1', {ours: taken(oursByCommand), peer: taken(containerd21), unit: 's', target: 0.4});
	report('pull-unpack-app-multi', {ours: taken(oursByClient), peer: taken(containerd16), unit: 's', target: 0.4});
}

async function docker({multi}: BigImages): Promise<void> {
	const taken = await seconds([oursByDocker, containerd16ByDocker], multi);
	report('pull-docker-vs-1.6', {ours: taken(oursByDocker), peer: taken(containerd16ByDocker), unit: 's', target: 0.4});
}

async function zlib({multi}: BigImages): Promise<void> {
	const taken = await seconds(Object.values(withoutPrograms), multi);
	report('pull-transfer-no-igzip-vs-1.6', {ours: taken(withoutPrograms.oursByTransfer), peer: taken(withoutPrograms.containerd16), unit: 's', target: 0.35});
	report('pull-client-no-igzip-vs-1.6', {ours: taken(withoutPrograms.oursByClient), peer: taken(withoutPrograms.containerd16), unit: 's', target: 0.5});
}

/** The same over TLS, which docker-registry speaks with HTTP/1.1 and HTTP/2. */
async function tls(): Promise<void> {
	await using authority = await Authority.create();
	await using images = await BigImages.serve(await authority.issue('registry'));
	await using hosts = await hostsDirectory(images.host, authority);
	const secure = (entrant: Entrant): Entrant => ({...entrant, reach: ['--hosts-dir', hosts.directory]});
	const [transfer, client, peer16, peer21] = [secure(oursByTransfer), secure(oursByClient), secure(containerd16), secure(containerd21)] as const;
	const taken = await seconds([transfer, client, peer16, peer21], images.multi);
	report('pull-tls-transfer-vs-1.6', {ours: taken(transfer), peer: taken(peer16), unit: 's'});
	report('pull-tls-transfer-vs-2.1', {ours: taken(transfer), peer: taken(peer21), unit: 's'});
	report('pull-tls-client-vs-1.6', {ours: taken(client), peer: taken(peer16), unit: 's'});
}

async function zstd({multiZstd}: BigImages): Promise<void> {
	const taken = await seconds([oursByTransfer, containerd16, containerd21], multiZstd);
	report('pull-zstd-vs-1.6', {ours: taken(oursByTransfer), peer: taken(containerd16), unit: 's', target: 0.45});
	report('pull-zstd-vs-2.1', {ours: taken(oursByTransfer), peer: taken(containerd21), unit: 's', target: 0.65});
}

/** What syncfs costs is in ours, which is durable when it is done, and printed apart; the peer leaves it to the kernel: what is left to it afterwards is printed too. */
async function onJournal({multi}: BigImages): Promise<void> {
	const pulls = new Map<Entrant, number[]>();
	const syncs = new Map<Entrant, number[]>();
	const own: number[] = [];
	for (const entrant of inTurns([oursThatTells, containerd16])) {
		await onFreshDisk('ext4', async disk => withEntrant(entrant, async (pull, daemon) => {
			add(pulls, entrant, await pull(multi));
			if (entrant === oursThatTells) {
				own.push(syncedSeconds(await daemon.log()));
			}
			add(syncs, entrant, await timed(async () => succeed('sync', ['-f', disk], {timeoutMs: 120_000})) / 1000);
		}));
	}
	report('pull-ext4-vs-1.6', {ours: middle(pulls, oursThatTells), peer: middle(pulls, containerd16), unit: 's', target: 0.4});
	const durable = (entrant: Entrant): number => median((pulls.get(entrant) ?? []).map((pull, round) => pull + (syncs.get(entrant)?.[round] ?? Number.NaN)));
	report('pull-ext4-durable-vs-1.6', {ours: durable(oursThatTells), peer: durable(containerd16), unit: 's'});
	report('pull-ext4-syncfs-afterwards', {ours: middle(syncs, oursThatTells), peer: middle(syncs, containerd16), unit: 's'});
	console.log(`  of ours, in syncfs before the pull is done: ${median(own).toFixed(2)} s`);
}

/** What the snapshotter's log says of its syncs; one that says nothing has been read wrong. */
function syncedSeconds(log: string): number {
	const syncs = [...log.matchAll(/the file system of snapshots is synced.*?milliseconds\W+(\d+)/g)].map(([, milliseconds]) => Number(milliseconds));
	if (syncs.length === 0) {
		throw new Error(`no sync in the log: ${log.slice(-2000)}`);
	}
	return syncs.reduce((sum, milliseconds) => sum + milliseconds, 0) / 1000;
}

const oursThatTells: Entrant = {...oursByTransfer, program: keelson({args: ['--log-level', 'debug']})};

/** Memory and calls during a pull, and what a second pull takes. */
async function load({multi}: BigImages): Promise<void> {
	const loads = new Map<Entrant, Load[]>();
	const again = new Map<Entrant, number[]>();
	const alone = new Map<Entrant, number[]>();
	for (const entrant of inTurns([oursByTransfer, containerd16, containerd21])) {
		await onFreshDisk('tmpfs', async () => withEntrant(entrant, async (pull, daemon) => {
			add(loads, entrant, await loadDuring(daemon, async () => pull(multi)));
			for (let round = 0; round < AGAIN; round++) {
				add(again, entrant, await pull(multi));
				add(alone, entrant, await clientSeconds(entrant, daemon));
			}
		}));
	}
	const of = (entrant: Entrant): readonly Load[] => loads.get(entrant) ?? [];
	reportLimit('pull-resident', {ours: Math.max(...of(oursByTransfer).map(({peakMegabytes}) => peakMegabytes)), limit: RESIDENT_MEGABYTES_MAX, unit: 'MB'});
	reportLimit('pull-unary-call-p99', {ours: median(of(oursByTransfer).map(({p99Ms}) => p99Ms)), limit: CALL_MS_MAX, unit: 'ms'});
	for (const entrant of [oursByTransfer, containerd16, containerd21]) {
		console.log(`  calls during a pull, ${entrant.name}: p99 ${of(entrant).map(({p99Ms}) => p99Ms.toFixed(1)).join(', ')} ms, longest ${of(entrant).map(({longestMs}) => longestMs.toFixed(0)).join(', ')} ms`);
	}
	console.log(`  of a second pull, what the client takes with any daemon (ctr version): ${[oursByTransfer, containerd16, containerd21].map(entrant => `${entrant.name} ${middle(alone, entrant).toFixed(3)}`).join(', ')} s`);
	report('pull-again-vs-1.6', {ours: middle(again, oursByTransfer), peer: middle(again, containerd16), unit: 's', target: 0.5});
	report('pull-again-vs-2.1', {ours: middle(again, oursByTransfer), peer: middle(again, containerd21), unit: 's', target: 0.5});
}

async function manyLayers(): Promise<void> {
	await using registry = await Registry.start();
	const many = await seconds([oursByTransfer, containerd16, containerd21], await pushManyLayers(registry));
	report('pull-40-layers-vs-1.6', {ours: many(oursByTransfer), peer: many(containerd16), unit: 's'});
	report('pull-40-layers-vs-2.1', {ours: many(oursByTransfer), peer: many(containerd21), unit: 's'});
	const relatives = await pushRelatives(registry);
	const four = new Map<Entrant, number[]>();
	for (const entrant of inTurns([oursByTransfer, containerd16, containerd21])) {
		await onFreshDisk('tmpfs', async () => withEntrant(entrant, async pull => {
			add(four, entrant, await timed(async () => Promise.all(relatives.map(pull))) / 1000);
		}));
	}
	report('pull-4-relatives-at-once-vs-1.6', {ours: middle(four, oursByTransfer), peer: middle(four, containerd16), unit: 's'});
	report('pull-4-relatives-at-once-vs-2.1', {ours: middle(four, oursByTransfer), peer: middle(four, containerd21), unit: 's'});
}

async function sameTrees({multi}: BigImages): Promise<void> {
	await withContestants('trees', async (ours, peer) => {
		await pullSeconds(ours.daemon.ctr('2.1', ours.ctr.namespace), multi);
		await pullSeconds(peer.ctr, multi);
		// The main job's own line.
		for (const {name, ctr} of [ours, peer]) {
			const {code, stdout, stderr} = await ctr.with({timeoutMs: 60_000}, 'run', '--rm', multi, 'c1', 'python3', '-c', 'print(6*7)');
			console.log(`  python3 in app:multi, ${name}: ${stdout.trim()}`);
			if (code !== 0 || stdout !== '42\n') {
				throw new Error(`${name}: exit status ${code}: ${stderr.slice(-2000)}`);
			}
		}
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
		add(samples, entrant, await onFreshDisk('tmpfs', async () => withEntrant(entrant, async pull => pull(image))));
	}
	return entrant => middle(samples, entrant);
}
