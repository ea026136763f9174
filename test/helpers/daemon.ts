import {randomBytes} from 'node:crypto';
import {mkdir, mkdtemp, readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {accepts} from '../../lib/listen/accepts.ts';
import {command} from './command.ts';
import {Ctr} from './ctr.ts';
import type {Release} from './releases.ts';
import {Service} from './service.ts';
import {sweep} from './sweep.ts';
import {tracesOf} from './traces.ts';
import {until} from './until.ts';

/** Where a daemon under test keeps everything: below one fresh directory. */
export interface Places {
	readonly directory: string;
	readonly root: string;
	readonly state: string;
	readonly address: string;
	/** A configuration file that the program may write. */
	readonly config: string;
}

/** How to start one kind of daemon. */
export interface Program {
	/** For titles: `containerd 1.6`, `keelson`. */
	readonly name: string;
	readonly kind: 'containerd' | 'keelson';
	/** The runtime's name that clients give; undefined: none, and they have the daemon's own shim, or the one that its configuration puts in its place. */
	readonly runtime?: string;
	/** Writes its configuration; resolves with the command to run. */
	prepare(places: Places): Promise<{readonly file: string; readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>>}>;
}

export interface DaemonOptions {
	/** Runs the daemon where /sys/fs/cgroup/unified is not mounted: crun 1.8 refuses cgroup v1 with a v2 hierarchy that has controllers. */
	readonly withoutUnifiedCgroup?: boolean;
	readonly env?: Readonly<Record<string, string>>;
	/** Folders before all others in its PATH. */
	readonly searchFirst?: readonly string[];
	/** Default 60,000, longer than it ever takes by itself: a machine that others use as well is no failure. */
	readonly readyMs?: number;
}

/** A running daemon with root, state and socket of its own, and everything that its containers do to the machine. */
export class Daemon implements AsyncDisposable {
	readonly places: Places;
	readonly program: Program;
	readonly #options: DaemonOptions;
	readonly #namespaces = new Set<string>();
	#service: Service | undefined;

	private constructor(program: Program, places: Places, options: DaemonOptions) {
		this.program = program;
		this.places = places;
		this.#options = options;
	}

	/** Resolves when the daemon answers a client. */
	static async start(program: Program, options: DaemonOptions = {}): Promise<Daemon> {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-e2e-'));
		const places = {
			directory,
			root: path.join(directory, 'root'),
			state: path.join(directory, 'state'),
			address: path.join(directory, 'daemon.sock'),
			config: path.join(directory, 'config.toml'),
		};
		const daemon = new Daemon(program, places, options);
		try {
			await mkdir(daemon.scratch);
			await daemon.start();
			return daemon;
		} catch (error) {
			await daemon[Symbol.asyncDispose]();
			throw error;
		}
	}

	get name(): string {
		return this.program.name;
	}

	get kind(): Program['kind'] {
		return this.program.kind;
	}

	get pid(): number {
		return this.#service?.pid ?? -1;
	}

	/** The status that it ended with by itself, if it did. */
	get code(): number | undefined {
		return this.#service?.code;
	}

	/** A directory for a test's own files, removed with the daemon. */
	get scratch(): string {
		return path.join(this.places.directory, 'scratch');
	}

	/** A containerd namespace that no other test uses, so that cgroups do not meet; known to `sweep`. */
	namespace(purpose: string): string {
		const name = `${purpose}-${randomBytes(4).toString('hex')}`;
		this.#namespaces.add(name);
		return name;
	}

	ctr(release: Release, namespace: string): Ctr {
		return new Ctr(release, this.places.address, namespace, this.program.runtime);
	}

	/** Starts the program again in the same places. */
	async start(): Promise<void> {
		const {file, args, env} = await this.program.prepare(this.places);
		const [head, ...rest] = this.#options.withoutUnifiedCgroup === true
			? ['unshare', '-m', 'sh', '-c', 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"', 'sh', file, ...args]
			: [file, ...args];
		const probe = new Ctr('1.6', this.places.address, 'probe');
		this.#service = await Service.start(head ?? file, rest, {
			log: path.join(this.places.directory, 'log'),
			env: {...env, ...this.#options.env, PATH: [...this.#options.searchFirst ?? [], this.#options.env?.['PATH'] ?? env?.['PATH'] ?? process.env['PATH']].join(':')},
			readyMs: this.#options.readyMs ?? 60_000,
			// First as cheaply as can be: each client that is started is work beside the daemon's own start.
			isReady: async () => await accepts(this.places.address) && (await command(probe.program, ['--address', probe.address, '--connect-timeout', '1s', '--timeout', '5s', 'version'])).code === 0,
		});
	}

	/** SIGTERM; resolves when it has ended: true when it did by itself within half a minute. Containers go on. */
	async stop(): Promise<boolean> {
		return await this.#service?.stop() ?? true;
	}

	async kill9(): Promise<void> {
		await this.#service?.kill9();
	}

	async restart(): Promise<void> {
		await this.stop();
		await this.start();
	}

	async log(): Promise<string> {
		return await this.#service?.log() ?? '';
	}

	/** What is still there of containers: each a line that names it. The daemon itself does not count, nor, while it runs, a spare shim that holds nothing. */
	async leftovers(): Promise<string[]> {
		const {mounts, processes, cgroups} = await tracesOf(this.places.directory, this.#namespaces);
		const isSpare = async (pid: number, what: string): Promise<boolean> => this.#service?.isRunning === true && what.includes('containerd-shim-keelson-v2')
			&& await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '') === '';
		const others = await Promise.all(processes.map(async ({pid, what}) => pid === this.pid || await isSpare(pid, what) ? [] : [what]));
		return [
			...mounts.map(point => `mount ${point}`),
			...others.flat().map(what => `process ${what}`),
			...cgroups.map(directory => `cgroup ${directory}`),
		];
	}

	/** `leftovers` that stay: what is about to end, or to become a spare shim, has its time. */
	async remains(): Promise<string[]> {
		return until('containers to leave nothing behind', async () => (await this.leftovers()).length === 0, {everyMs: 50}).then(() => [], async () => this.leftovers());
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
		await sweep(this.places.directory, this.#namespaces);
	}
}
