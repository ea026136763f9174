import assert from 'node:assert/strict';
import {connect, type Client} from '../../client/index.ts';
import {Daemon, type Program} from '../helpers/daemon.ts';
import {Registry} from '../helpers/registry.ts';
import {pushTestImages, type TestImages} from '../helpers/test-images.ts';

/** A daemon with a registry of test images beside it, and a client in a namespace of its own. */
export class ClientRoom implements AsyncDisposable {
	readonly daemon: Daemon;
	readonly client: Client;
	readonly images: TestImages;
	readonly registry: Registry;
	readonly #lifetime: AsyncDisposableStack;

	private constructor({daemon, client, images, registry, lifetime}: Pick<ClientRoom, 'daemon' | 'client' | 'images' | 'registry'> & {readonly lifetime: AsyncDisposableStack}) {
		this.daemon = daemon;
		this.client = client;
		this.images = images;
		this.registry = registry;
		this.#lifetime = lifetime;
	}

	/** Resolves when the daemon answers; busybox and `configured` are pulled. */
	static async open(program: Program, purpose = 'client'): Promise<ClientRoom> {
		await using half = new AsyncDisposableStack();
		const registry = half.use(await Registry.start());
		const images = await pushTestImages(registry);
		const daemon = half.use(await Daemon.start(program));
		const client = half.use(connect(daemon.places.address, {namespace: daemon.namespace(purpose)}));
		await client.services.namespaces.create({namespace: {name: client.namespace}});
		return new ClientRoom({daemon, client, images, registry, lifetime: half.move()});
	}

	/** Stops the daemon; fails where something is left; then removes everything by force. */
	async close(): Promise<void> {
		try {
			await this.daemon.stop();
			assert.deepEqual(await this.daemon.remains(), []);
		} finally {
			await this[Symbol.asyncDispose]();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#lifetime.disposeAsync();
	}
}
