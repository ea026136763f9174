import assert from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {ExecutionContext} from 'ava';
import {Daemon, type Program} from '../helpers/daemon.ts';
import {Docker} from '../helpers/docker.ts';
import {Registry} from '../helpers/registry.ts';
import type {DockerRelease} from '../helpers/releases.ts';
import {pushTestImages, type TestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';

/** Declares what must hold in a room. */
export type Story = (title: string, body: (t: ExecutionContext, room: DockerRoom) => Promise<void>) => void;

/** A dockerd on a daemon, with a registry of test images beside it. */
export class DockerRoom implements AsyncDisposable {
	readonly daemon: Daemon;
	/** Keeps its images in the daemon; busybox is pulled. */
	readonly docker: Docker;
	readonly release: DockerRelease;
	readonly images: TestImages;
	readonly registry: Registry;
	/** A directory for a test's own files. */
	readonly scratch: string;
	readonly #lifetime: AsyncDisposableStack;

	private constructor(parts: Pick<DockerRoom, 'daemon' | 'docker' | 'release' | 'images' | 'registry' | 'scratch'> & {readonly lifetime: AsyncDisposableStack}) {
		({daemon: this.daemon, docker: this.docker, release: this.release, images: this.images, registry: this.registry, scratch: this.scratch, lifetime: this.#lifetime} = parts);
	}

	static async open(program: Program, release: DockerRelease): Promise<DockerRoom> {
		await using half = new AsyncDisposableStack();
		const scratch = await mkdtemp(path.join(tmpdir(), 'keelson-docker-test-'));
		half.defer(async () => rm(scratch, {recursive: true, force: true}));
		const registry = half.use(await Registry.start());
		const images = await pushTestImages(registry);
		const daemon = half.use(await Daemon.start(program));
		const docker = half.use(await Docker.start({release, daemon, store: 'containerd'}));
		await docker.ok('pull', '-q', images.busybox);
		return new DockerRoom({daemon, docker, release, images, registry, scratch, lifetime: half.move()});
	}

	/** Stops all; fails where something is left; then removes everything by force. */
	async close(): Promise<void> {
		try {
			const isGraceful = await this.docker.stop();
			const left = async (): Promise<string[]> => [...await this.docker.leftovers(), ...(await this.daemon.leftovers()).filter(line => !isBuildersCgroup(line))];
			const leftovers = await until('containers to leave nothing', async () => (await left()).length === 0, {everyMs: 50}).then(() => [], left);
			assert.deepEqual([isGraceful, leftovers], [true, []]);
		} finally {
			await this[Symbol.asyncDispose]();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#lifetime.disposeAsync();
	}
}

/** Docker makes it for the steps of a build, and leaves it. */
function isBuildersCgroup(line: string): boolean {
	return /^cgroup .*\/buildkit$/v.test(line);
}
