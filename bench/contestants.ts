import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {succeed} from '../test/helpers/command.ts';
import {containerd} from '../test/helpers/containerd-program.ts';
import type {Ctr} from '../test/helpers/ctr.ts';
import {Daemon} from '../test/helpers/daemon.ts';
import {keelson} from '../test/helpers/keelson-program.ts';

/** One of the two that are measured: the same client, the same runtime binary, directories on a file system of their own. */
export interface Contestant {
	readonly who: 'ours' | 'peer';
	readonly daemon: Daemon;
	readonly ctr: Ctr;
}

/**
 * Runs `work` with a fresh keelson and a fresh containerd 1.6, each on a tmpfs that nobody has written to (this kernel's ext4 slows creation
 * down where inodes were deleted a moment ago), and removes everything afterwards.
 */
export async function withContestants(purpose: string, work: (ours: Contestant, peer: Contestant) => Promise<void>): Promise<void> {
	const disk = await mkdtemp(path.join(tmpdir(), 'keelson-bench-'));
	await succeed('mount', ['-t', 'tmpfs', '-o', 'size=12g,mode=0755', 'tmpfs', disk]);
	const before = process.env['TMPDIR'];
	process.env['TMPDIR'] = disk;
	try {
		await using ours = await Daemon.start(keelson());
		await using peer = await Daemon.start(containerd('1.6'));
		const contestant = (who: Contestant['who'], daemon: Daemon): Contestant => ({who, daemon, ctr: daemon.ctr('1.6', daemon.namespace(`bench-${purpose}`))});
		await work(contestant('ours', ours), contestant('peer', peer));
	} finally {
		if (before === undefined) {
			delete process.env['TMPDIR'];
		} else {
			process.env['TMPDIR'] = before;
		}
		await succeed('umount', [disk]).catch(async () => succeed('umount', ['-l', disk]));
		await rm(disk, {recursive: true, force: true});
	}
}

/** Ours and the peer's in turn, the first to go changing with each round. */
export async function inTurn(rounds: number, [ours, peer]: readonly [Contestant, Contestant], work: (contestant: Contestant, round: number) => Promise<number>): Promise<{ours: number[]; peer: number[]}> {
	const samples: {ours: number[]; peer: number[]} = {ours: [], peer: []};
	for (let round = 0; round < rounds; round++) {
		for (const contestant of round % 2 === 0 ? [ours, peer] : [peer, ours]) {
			samples[contestant.who].push(await work(contestant, round));
		}
	}
	return samples;
}
