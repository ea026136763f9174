import {mkdtemp} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {command, succeed} from './command.ts';
import {dockerPrograms} from './releases.ts';
import {Service} from './service.ts';
import {sweep} from './sweep.ts';

/** A dockerd with its own containerd, without networks, its images in a fresh directory that goes with it. */
export class Docker implements AsyncDisposable {
	readonly directory: string;
	readonly #service: Service;

	private constructor(directory: string, service: Service) {
		this.directory = directory;
		this.#service = service;
	}

	static async start(): Promise<Docker> {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-docker-'));
		const {dockerd, docker} = dockerPrograms();
		const address = addressIn(directory);
		try {
			const service = await Service.start(dockerd, [
				'--data-root', path.join(directory, 'data'), '--exec-root', path.join(directory, 'exec'), '--pidfile', path.join(directory, 'pid'), '-H', address,
				'--bridge', 'none', '--iptables=false', '--ip6tables=false', '--userland-proxy=false', '--storage-driver', 'vfs',
			], {log: path.join(directory, 'log'), readyMs: 60_000, isReady: async () => (await command(docker, ['-H', address, 'version'])).code === 0});
			return new Docker(directory, service);
		} catch (error) {
			await sweep(directory, new Set());
			throw error;
		}
	}

	/** Standard output of docker's command. */
	async ok(...args: readonly string[]): Promise<string> {
		return (await succeed(dockerPrograms().docker, ['-H', addressIn(this.directory), ...args], {timeoutMs: 60_000})).stdout;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#service.stop();
		await sweep(this.directory, new Set());
	}
}

function addressIn(directory: string): string {
	return `unix://${path.join(directory, 'docker.sock')}`;
}
