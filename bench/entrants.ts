import {setTimeout as sleep} from 'node:timers/promises';
import {containerd} from '../test/helpers/containerd-program.ts';
import type {Ctr} from '../test/helpers/ctr.ts';
import {Daemon, type Program} from '../test/helpers/daemon.ts';
import {keelson} from '../test/helpers/keelson-program.ts';
import type {Release} from '../test/helpers/releases.ts';
import {timed} from './measure.ts';

/** A daemon and the client that pulls with it. */
export interface Entrant {
	readonly name: string;
	readonly program: Program;
	readonly client: Release;
	readonly env?: Readonly<Record<string, string>>;
}

/** `ctr` 2.1 asks the Transfer service. */
export const oursByTransfer: Entrant = {name: 'keelson', program: keelson(), client: '2.1'};
/** `ctr` 1.6 writes content, prepares snapshots and applies layers itself, one after the other. */
export const oursByClient: Entrant = {name: 'keelson, client-driven', program: keelson(), client: '1.6'};
export const containerd16: Entrant = {name: 'containerd 1.6', program: containerd('1.6'), client: '1.6'};
export const containerd21: Entrant = {name: 'containerd 2.1', program: containerd('2.1'), client: '2.1'};

const zlib = keelson({config: '[plugins."io.containerd.differ.v1.walking"]\ndecompressor = "builtin"\n'});
/** As on a machine that has neither igzip nor pigz. */
export const withoutPrograms = {
	oursByTransfer: {...oursByTransfer, program: zlib},
	oursByClient: {...oursByClient, program: zlib},
	containerd16: {...containerd16, env: {CONTAINERD_DISABLE_PIGZ: '1'}},
} satisfies Record<string, Entrant>;

const PULL_MS_MAX = 300_000;
const SETTLE_MS = 1500;

/** Starts an entrant's daemon, lets it come to rest (ours keeps a spare shim warm), and ends it after the work. */
export async function withEntrant<T>({program, client, env}: Entrant, work: (ctr: Ctr, daemon: Daemon) => Promise<T>): Promise<T> {
	await using daemon = await Daemon.start(program, env === undefined ? {} : {env});
	await sleep(SETTLE_MS);
	return await work(daemon.ctr(client, daemon.namespace('bench-pull')), daemon);
}

/** Seconds of one pull. */
export async function pullSeconds(ctr: Ctr, image: string): Promise<number> {
	return await timed(async () => {
		const {code, stderr} = await ctr.with({timeoutMs: PULL_MS_MAX}, 'images', 'pull', '--plain-http', image);
		if (code !== 0) {
			throw new Error(stderr.slice(-2000));
		}
	}) / 1000;
}
