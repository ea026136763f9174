import {mkdir, mkdtemp, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {Background} from './background.ts';
import {command, succeed, type CommandOptions, type Outcome} from './command.ts';
import type {Daemon} from './daemon.ts';
import {dockerPrograms, type DockerRelease} from './releases.ts';
import {Service} from './service.ts';
import {sweep} from './sweep.ts';
import {Terminal} from './terminal.ts';
import {mountsUnder} from './traces.ts';

export interface DockerOptions {
	/** Default 26. */
	readonly release?: DockerRelease;
	/** What it stands on, in a namespace of its own; default: a containerd of its own, from the PATH. */
	readonly daemon?: Daemon;
	/** Who keeps images: the daemon below, or (default) Docker itself, with its driver `vfs`. */
	readonly store?: 'containerd' | 'classic';
}

/** A dockerd without bridge and iptables, all that it keeps in a fresh directory that goes with it, and its unmodified client. */
export class Docker implements AsyncDisposable {
	readonly directory: string;
	/** Of its containers in the daemon below, and the cgroup that they are in. */
	readonly namespace: string;
	readonly #release: DockerRelease;
	readonly #service: Service;

	private constructor(directory: string, namespace: string, release: DockerRelease, service: Service) {
		this.directory = directory;
		this.namespace = namespace;
		this.#release = release;
		this.#service = service;
	}

	/** Resolves when it answers its client. */
	static async start({release = '26', daemon, store = 'classic'}: DockerOptions = {}): Promise<Docker> {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-docker-'));
		const {dockerd, docker, buildx} = dockerPrograms(release);
		const namespace = daemon?.namespace('docker') ?? path.basename(directory);
		try {
			// Client and daemon would read files of the machine otherwise.
			const config = path.join(directory, 'daemon.json');
			await writeFile(config, JSON.stringify({features: {'containerd-snapshotter': store === 'containerd'}}));
			const plugins = path.join(directory, 'client/cli-plugins');
			await mkdir(plugins, {recursive: true});
			await symlink(buildx, path.join(plugins, 'docker-buildx'));
			const service = await Service.start(dockerd, [
				'--config-file', config, '--data-root', path.join(directory, 'data'), '--exec-root', path.join(directory, 'exec'), '--pidfile', path.join(directory, 'pid'),
				'-H', addressIn(directory), '--bridge', 'none', '--iptables=false', '--ip6tables=false', '--userland-proxy=false',
				...store === 'containerd' ? [] : ['--storage-driver', 'vfs'],
				...daemon === undefined ? [] : [
					'--containerd', daemon.places.address, '--containerd-namespace', namespace, '--containerd-plugins-namespace', `${namespace}-plugins`, '--cgroup-parent', `/${namespace}`,
				],
			], {log: path.join(directory, 'log'), readyMs: 60_000, isReady: async () => (await command(docker, [...clientArguments(directory), 'version'])).code === 0});
			return new Docker(directory, namespace, release, service);
		} catch (error) {
			await sweep(directory, new Set());
			throw error;
		}
	}

	/** Runs its client to the end, whatever the exit status. */
	async run(...args: readonly string[]): Promise<Outcome> {
		return this.with({}, ...args);
	}

	async with(options: CommandOptions, ...args: readonly string[]): Promise<Outcome> {
		return command(dockerPrograms(this.#release).docker, [...clientArguments(this.directory), ...args], {timeoutMs: 60_000, ...options});
	}

	/** Standard output of docker's command; rejects unless the exit status is 0. */
	async ok(...args: readonly string[]): Promise<string> {
		return (await succeed(dockerPrograms(this.#release).docker, [...clientArguments(this.directory), ...args], {timeoutMs: 60_000})).stdout;
	}

	/** The lines that it prints, without the line's end and without empty ones. */
	async lines(...args: readonly string[]): Promise<string[]> {
		return (await this.ok(...args)).split('\n').filter(line => line !== '');
	}

	/** A part of what `docker inspect` tells, `.State` for one. */
	async inspect(name: string, part: string): Promise<unknown> {
		return JSON.parse(await this.ok('inspect', '--format', `{{json ${part}}}`, name)) as unknown;
	}

	background(...args: readonly string[]): Background {
		return new Background(dockerPrograms(this.#release).docker, [...clientArguments(this.directory), ...args]);
	}

	terminal(...args: readonly string[]): Terminal {
		return new Terminal(dockerPrograms(this.#release).docker, [...clientArguments(this.directory), ...args]);
	}

	async log(): Promise<string> {
		return this.#service.log();
	}

	/** SIGTERM; true when it ended by itself within half a minute. Its containers end with it. */
	async stop(): Promise<boolean> {
		return this.#service.stop();
	}

	/** Mounts in its directory, but for the one that a dockerd leaves: the host's network namespace, by name. */
	async leftovers(): Promise<string[]> {
		return (await mountsUnder(this.directory)).filter(point => !point.endsWith('/netns/default')).map(point => `mount ${point}`);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
		await sweep(this.directory, new Set());
	}
}

function addressIn(directory: string): string {
	return `unix://${path.join(directory, 'docker.sock')}`;
}

function clientArguments(directory: string): string[] {
	return ['--config', path.join(directory, 'client'), '-H', addressIn(directory)];
}
