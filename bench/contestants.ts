import {containerd} from '../test/helpers/containerd-program.ts';
import type {Ctr} from '../test/helpers/ctr.ts';
import {Daemon, type DaemonOptions, type Program} from '../test/helpers/daemon.ts';
import {keelson} from '../test/helpers/keelson-program.ts';
import type {Release} from '../test/helpers/releases.ts';
import {onFreshDisk} from './fresh-disk.ts';

/** One of those that are measured: the same client, the same runtime binary, directories on a file system of their own. */
export interface Contestant {
	readonly who: 'ours' | 'peer';
	/** keelson, or containerd and its release. */
	readonly name: string;
	readonly daemon: Daemon;
	readonly ctr: Ctr;
}

/**
 * Runs `work` with a fresh keelson and a fresh containerd of each of the releases, all on one fresh file system, and removes everything afterwards.
 */
export async function withPeers(purpose: string, releases: readonly Release[], work: (ours: Contestant, peers: readonly Contestant[]) => Promise<void>, options?: DaemonOptions): Promise<void> {
	await onFreshDisk('tmpfs', async () => {
		await using daemons = new AsyncDisposableStack();
		const start = async (who: Contestant['who'], name: string, program: Program): Promise<Contestant> => {
			const daemon = daemons.use(await Daemon.start(program, options));
			return {who, name, daemon, ctr: daemon.ctr('1.6', daemon.namespace(`bench-${purpose}`))};
		};
		const ours = await start('ours', 'keelson', keelson());
		const peers: Contestant[] = [];
		for (const release of releases) {
			peers.push(await start('peer', `containerd ${release}`, containerd(release)));
		}
		await work(ours, peers);
	});
}

/** As `withPeers`, with Debian's containerd alone. */
export async function withContestants(purpose: string, work: (ours: Contestant, peer: Contestant) => Promise<void>): Promise<void> {
	await withPeers(purpose, ['1.6'], async (ours, [peer]) => work(ours, peer as Contestant));
}

/** All in turn, the first to go changing with each round. Resolves with the samples of each, in the order of the contestants. */
export async function amongAll(rounds: number, contestants: readonly Contestant[], work: (contestant: Contestant, round: number) => Promise<number>): Promise<readonly number[][]> {
	const samples = contestants.map((): number[] => []);
	for (let round = 0; round < rounds; round++) {
		for (let turn = 0; turn < contestants.length; turn++) {
			const index = (round + turn) % contestants.length;
			samples[index]?.push(await work(contestants[index] as Contestant, round));
		}
	}
	return samples;
}

/** Ours and the peer's in turn. */
export async function inTurn(rounds: number, both: readonly [Contestant, Contestant], work: (contestant: Contestant, round: number) => Promise<number>): Promise<{ours: number[]; peer: number[]}> {
	const [ours = [], peer = []] = await amongAll(rounds, both, work);
	return {ours, peer};
}
