import {setTimeout as sleep} from 'node:timers/promises';
import {command, type Outcome} from '../test/helpers/command.ts';
import {containerd} from '../test/helpers/containerd-program.ts';
import type {Ctr} from '../test/helpers/ctr.ts';
import {Daemon, type Program} from '../test/helpers/daemon.ts';
import {Docker} from '../test/helpers/docker.ts';
import {keelson, keelsonPath} from '../test/helpers/keelson-program.ts';
import type {Release} from '../test/helpers/releases.ts';
import {timed} from './measure.ts';

/** A daemon and the client that pulls with it. */
export interface Entrant {
	readonly name: string;
	readonly program: Program;
	/** A release of `ctr`; our own command; or a dockerd on the daemon, with its client. */
	readonly client: Release | 'keelson' | 'docker';
	readonly env?: Readonly<Record<string, string>>;
	/** Arguments by which a `ctr` reaches the registry; plain HTTP where nothing is said. */
	readonly reach?: readonly string[];
}

/** `ctr` 2.1 asks the Transfer service. */
export const oursByTransfer: Entrant = {name: 'keelson', program: keelson(), client: '2.1'};
/** Our own command. */
export const oursByCommand: Entrant = {name: 'keelson pull', program: keelson(), client: 'keelson'};
/** `ctr` 1.6 writes content, prepares snapshots and applies layers itself, one after the other. */
export const oursByClient: Entrant = {name: 'keelson, client-driven', program: keelson(), client: '1.6'};
export const containerd16: Entrant = {name: 'containerd 1.6', program: containerd('1.6'), client: '1.6'};
export const containerd21: Entrant = {name: 'containerd 2.1', program: containerd('2.1'), client: '2.1'};

/** dockerd does what `ctr` 1.6 does. */
export const oursByDocker: Entrant = {name: 'keelson, dockerd', program: keelson(), client: 'docker'};
export const containerd16ByDocker: Entrant = {name: 'containerd 1.6, dockerd', program: containerd('1.6'), client: 'docker'};

const zlib = keelson({config: '[plugins."io.containerd.differ.v1.walking"]\ndecompressor = "builtin"\n'});
/** As on a machine that has neither igzip nor pigz. */
export const withoutPrograms = {
	oursByTransfer: {...oursByTransfer, program: zlib},
	oursByClient: {...oursByClient, program: zlib},
	containerd16: {...containerd16, env: {CONTAINERD_DISABLE_PIGZ: '1'}},
} satisfies Record<string, Entrant>;

const PULL_MS_MAX = 300_000;
const SETTLE_MS = 1500;

/** Pulls an image with the client of an entrant; resolves with the seconds that took. */
export type Pull = (image: string) => Promise<number>;

/** Starts an entrant's daemon, lets it come to rest (ours keeps a spare shim warm), and ends it after the work. */
export async function withEntrant<T>({program, client, env, reach}: Entrant, work: (pull: Pull, daemon: Daemon) => Promise<T>): Promise<T> {
	await using daemon = await Daemon.start(program, env === undefined ? {} : {env});
	if (client === 'docker') {
		await using docker = await Docker.start({daemon, store: 'containerd'});
		await sleep(SETTLE_MS);
		return await work(async image => secondsOf(async () => docker.with({timeoutMs: PULL_MS_MAX}, 'pull', '-q', image)), daemon);
	}
	const namespace = daemon.namespace('bench-pull');
	const ctr = daemon.ctr(client === 'keelson' ? '2.1' : client, namespace);
	await sleep(SETTLE_MS);
	if (client === 'keelson') {
		await ctr.ok('namespaces', 'create', namespace);
		return await work(async image => secondsOf(async () => command(keelsonPath, ['-a', daemon.places.address, '-n', namespace, 'pull', image], {timeoutMs: PULL_MS_MAX})), daemon);
	}
	return await work(async image => pullSeconds(ctr, image, reach), daemon);
}

/** Seconds of one pull by `ctr`. */
export async function pullSeconds(ctr: Ctr, image: string, reach: readonly string[] = ['--plain-http']): Promise<number> {
	return await secondsOf(async () => ctr.with({timeoutMs: PULL_MS_MAX}, 'images', 'pull', ...reach, image));
}

/** Seconds of the shortest that an entrant's `ctr` can ask of its daemon: no pull by it takes less. */
export async function clientSeconds({client}: Entrant, daemon: Daemon): Promise<number> {
	if (client === 'keelson' || client === 'docker') {
		throw new TypeError(`${client} is no ctr`);
	}
	const ctr = daemon.ctr(client, daemon.namespace('bench-version'));
	return await secondsOf(async () => ctr.with({timeoutMs: PULL_MS_MAX}, 'version'));
}

async function secondsOf(pull: () => Promise<Pick<Outcome, 'code' | 'stderr'>>): Promise<number> {
	return await timed(async () => {
		const {code, stderr} = await pull();
		if (code !== 0) {
			throw new Error(stderr.slice(-2000));
		}
	}) / 1000;
}
