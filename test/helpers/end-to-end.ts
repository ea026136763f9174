import assert from 'node:assert/strict';
import test, {type ExecutionContext} from 'ava';
import {containerd} from './containerd-program.ts';
import type {Ctr} from './ctr.ts';
import {Daemon, type DaemonOptions, type Program} from './daemon.ts';
import {keelson, keelsonWithShimOf} from './keelson-program.ts';
import {Registry} from './registry.ts';
import {isSince, releases, type Release} from './releases.ts';
import {pushTestImages, type TestImages} from './test-images.ts';
import {normalise} from './normalise.ts';
import {until} from './until.ts';

/** What a scenario is given: a daemon that serves, a client in a namespace of its own in which busybox has been pulled. */
export interface Scene {
	readonly t: ExecutionContext;
	readonly daemon: Daemon;
	readonly ctr: Ctr;
	readonly images: TestImages;
	readonly registry: Registry;
	/** The same client in a namespace that nobody has used. */
	fresh(): Ctr;
	/** Says that keelson must show here what the containerd of the client's release shows; times, paths and widths do not count. */
	same(label: string, value: unknown): void;
}

export interface ScenarioOptions {
	/** Only this kind of daemon: where the peer differs, or has no such thing. */
	readonly only?: 'containerd' | 'keelson';
	/** The first release of ctr that has what is tested. */
	readonly since?: Release;
	/** The last one. */
	readonly until?: Release;
	/**
	 * Also where daemon and shim are of two houses, or there only, in a file whose `pairs` are on. `theirs`: of those, where the daemon is keelson;
	 * containerd and its clients take some options for a runtime of runc's name alone.
	 */
	readonly pairs?: boolean | 'only' | 'theirs';
}

export interface EndToEndOptions {
	/** Default true: pull busybox before the first scenario. */
	readonly pulls?: boolean;
	/**
	 * Scenarios are also run by keelson with each of containerd's shims, and by containerd with ours: those that say so, or with `each` all that do
	 * not say no; with E2E_PAIRS=all every one.
	 */
	readonly pairs?: boolean | 'each';
	readonly daemon?: DaemonOptions;
	/** Default 120,000 for each scenario. */
	readonly timeoutMs?: number;
}

interface Target {
	readonly program: Program;
	readonly releases: readonly Release[];
	/** Daemon and shim are of two houses. */
	readonly isPair?: boolean;
}

interface Prepared {
	readonly daemon: Daemon;
	readonly clients: Map<Release, Promise<Ctr>>;
}

/**
 * Declares scenarios that run against every daemon and every release of the client: containerd with the client of its own release,
 * and keelson with each. What the peer fails, the scenario has wrong. E2E_DAEMONS (containerd, keelson) and E2E_CTR (1.6, 1.7, 2.1)
 * restrict, each a list with commas; E2E_PAIRS has `all` for every
 * scenario with every pair, see `pairs`, and `only` for nothing but pairs.
 *
 * One daemon of a kind serves all scenarios of a file, one after another; a last test says that nothing was left behind.
 */
export function endToEnd(purpose: string, options: EndToEndOptions = {}): (title: string, body: (scene: Scene) => Promise<void>, scenarioOptions?: ScenarioOptions) => void {
	const wanted = process.env['E2E_DAEMONS']?.split(',') ?? ['containerd', 'keelson'];
	const clients = releases.filter(release => process.env['E2E_CTR']?.split(',').includes(release) ?? true);
	const targets: readonly Target[] = [
		...wanted.includes('containerd') ? clients.map(release => ({program: containerd(release), releases: [release]})) : [],
		...wanted.includes('keelson') ? [{program: keelson(), releases: clients}] : [],
		...options.pairs !== undefined && options.pairs !== false ? pairsOf(clients).filter(({program}) => wanted.includes(program.kind)) : [],
	].filter(({isPair}: Target) => isPair === true || process.env['E2E_PAIRS']?.split(',').includes('only') !== true);
	const prepared = new Map<Target, Promise<Prepared>>();
	const seen = new Map<string, Array<readonly [label: string, value: unknown]>>();
	let shop: Promise<{registry: Registry; images: TestImages}> | undefined;

	const openShop = async () => {
		const registry = await Registry.start();
		return {registry, images: await pushTestImages(registry)};
	};

	const prepare = async (target: Target, release: Release) => {
		shop ??= openShop();
		const {registry, images} = await shop;
		let opening = prepared.get(target);
		if (opening === undefined) {
			opening = Daemon.start(target.program, options.daemon).then(daemon => ({daemon, clients: new Map<Release, Promise<Ctr>>()}));
			prepared.set(target, opening);
		}

		const {daemon, clients: known} = await opening;
		let client = known.get(release);
		if (client === undefined) {
			client = (async () => {
				const ctr = daemon.ctr(release, daemon.namespace(`e2e-${purpose}`));
				if (options.pulls !== false) {
					await ctr.ok('images', 'pull', '--plain-http', images.busybox);
				}

				return ctr;
			})();
			known.set(release, client);
		}

		return {daemon, registry, images, ctr: await client};
	};

	const play = async (t: ExecutionContext, target: Target, release: Release, title: string, body: (scene: Scene) => Promise<void>) => {
		t.timeout(options.timeoutMs ?? 120_000);
		const {daemon, registry, images, ctr} = await prepare(target, release);
		const key = `${title} ${release}`;
		const isMeasure = isPeer(target);
		const fresh = () => ctr.in(daemon.namespace(`e2e-${purpose}`));
		const scene = (inner: ExecutionContext, mine: Array<readonly [label: string, value: unknown]>): Scene => ({
			t: inner, daemon, ctr, images, registry, fresh,
			same(label, value) {
				const replacements = {[daemon.places.directory]: 'DIRECTORY', [ctr.namespace]: 'NAMESPACE'};
				mine.push([label, normalise(value, replacements)]);
				const theirs = seen.get(key);
				if (isMeasure || theirs === undefined) {
					inner.pass();
				} else {
					inner.deepEqual(mine.at(-1), theirs[mine.length - 1], `keelson shows here what containerd ${release} shows`);
				}
			},
		});
		if (daemon.kind === 'keelson') {
			try {
				await body(scene(t, []));
			} finally {
				await tidy(ctr);
			}

			return;
		}

		// The peer is the measure, not what is measured: on a busy machine it loses an event or the end of a stream now and then.
		for (let isLast = false; ; isLast = true) {
			const mine: Array<readonly [label: string, value: unknown]> = [];
			const attempt = await t.try(async inner => {
				try {
					await body(scene(inner, mine));
				} finally {
					await tidy(ctr);
				}
			});
			if (attempt.passed || isLast) {
				if (isMeasure) {
					seen.set(key, mine);
				}

				attempt.commit();
				return;
			}

			attempt.discard();
		}
	};

	// A restore of another file's test, with whichever daemon, makes the groups again that CRIU saw at the dump, in the unified hierarchy, whosever they were: those are swept, and say nothing of this daemon. What a shim
	// leaves there is looked at in test/shim.
	test.after.always('daemons and registry go, and nothing is left behind', async () => {
		const problems: string[] = [];
		for (const opening of prepared.values()) {
			await opening.then(async ({daemon}) => problems.push(...(await close(daemon)).filter(line => !line.includes(' left cgroup /sys/fs/cgroup/unified/'))), () => undefined);
		}

		await shop?.then(async ({registry}) => registry[Symbol.asyncDispose](), () => undefined);
		assert.deepEqual(problems, []);
	});

	const allPairs = process.env['E2E_PAIRS']?.split(',').includes('all') ?? false;
	return (title, body, {only, since, until: last, pairs = options.pairs === 'each'} = {}) => {
		const isPlayed = ({isPair = false, program}: Target): boolean => {
			if (!isPair) {
				return pairs !== 'only';
			}
			return allPairs || (pairs !== false && (pairs !== 'theirs' || program.kind === 'keelson'));
		};
		for (const target of targets.filter(isPlayed)) {
			if (only !== undefined && only !== target.program.kind) {
				continue;
			}

			for (const release of target.releases) {
				if ((since === undefined || isSince(release, since)) && (last === undefined || isSince(last, release))) {
					test.serial(`${title} [${target.program.name}, ctr ${release}]`, async t => play(t, target, release, title, body));
				}
			}
		}
	};
}

/** containerd with its own shim. */
function isPeer({program, isPair = false}: Target): boolean {
	return program.kind === 'containerd' && !isPair;
}

/** A client's release goes with the peer that has it. */
function pairsOf(clients: readonly Release[]): readonly Target[] {
	return [
		...clients.map(release => ({program: keelsonWithShimOf(release), releases: [release], isPair: true})),
		...clients.filter(release => release !== '1.7').map(release => ({program: containerd(release, {shim: 'keelson'}), releases: [release], isPair: true})),
	];
}

/** Stops a daemon and removes what is left of it; resolves with what should not have been there. */
async function close(daemon: Daemon): Promise<string[]> {
	try {
		const isGraceful = await daemon.stop();
		return [...isGraceful ? [] : [`${daemon.name} did not stop on SIGTERM`], ...(await daemon.remains()).map(line => `${daemon.name} left ${line}`)];
	} finally {
		await daemon[Symbol.asyncDispose]();
	}
}

/** Removes what a scenario that failed has left in its namespace, so that the next one starts clean. */
async function tidy(ctr: Ctr): Promise<void> {
	const containers = await ctr.run('containers', 'ls', '-q');
	for (const id of containers.stdout.split('\n').filter(line => line !== '')) {
		await ctr.run('tasks', 'delete', '--force', id);
		await until(`container ${id} to go`, async () => (await ctr.run('containers', 'rm', id)).code === 0, {everyMs: 100});
	}
}
