import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {GrpcService} from '../../contracts/grpc/grpc.ts';
import type {Logger} from '../../kernel/log.ts';
import type {CallCounts} from '../../plugins/grpc-server/call-counts.ts';
import {serve} from '../../plugins/grpc-server/serve.ts';
import {grpcConfig, settingsOf} from '../../plugins/grpc-server/settings.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';

export interface GrpcRoomOptions {
	/** Of the `[grpc]` table. */
	readonly config?: Readonly<Record<string, unknown>>;
	/** Sent with each call; default: the namespace `default`. */
	readonly headers?: Readonly<Record<string, string>>;
	readonly counts?: CallCounts;
}

/** The real server with some services on a socket of its own, and a client. */
export class GrpcRoom implements AsyncDisposable {
	readonly address: string;
	readonly ttrpcAddress: string;
	readonly addresses: readonly string[];
	readonly client: Connection;
	/** Lines that the server logged as errors. */
	readonly errors: readonly string[];
	readonly #stopping: AbortController;
	readonly #lifetime: AsyncDisposableStack;

	private constructor(parts: Pick<GrpcRoom, 'address' | 'addresses' | 'client' | 'errors'> & {readonly stopping: AbortController; readonly lifetime: AsyncDisposableStack}) {
		this.address = parts.address;
		this.ttrpcAddress = `${parts.address}.ttrpc`;
		this.addresses = parts.addresses;
		this.client = parts.client;
		this.errors = parts.errors;
		this.#stopping = parts.stopping;
		this.#lifetime = parts.lifetime;
	}

	static async open(services: readonly GrpcService[], {config = {}, headers = {'containerd-namespace': 'default'}, counts}: GrpcRoomOptions = {}): Promise<GrpcRoom> {
		await using half = new AsyncDisposableStack();
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-grpc-'));
		half.defer(() => rm(directory, {recursive: true, force: true}));
		const address = path.join(directory, 'k.sock');
		const errors: string[] = [];
		const stopping = new AbortController();
		const settings = settingsOf(grpcConfig.parse({address, ...config}), {});
		const {addresses} = half.use(await serve({settings, services, log: collect(errors), counts, signal: stopping.signal}));
		const client = new Connection({address, headers});
		return new GrpcRoom({address, addresses, client, errors, stopping, lifetime: half.move()});
	}

	/** What a daemon does at SIGTERM. */
	async stop(): Promise<void> {
		this.#stopping.abort();
		await this.#lifetime.disposeAsync();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.client[Symbol.dispose]();
		await this.stop();
	}
}

function collect(errors: string[]): Logger {
	const log: Logger = {
		trace() {}, debug() {}, info() {}, warn() {},
		error: (message, {error} = {}) => {
			errors.push(`${message}: ${String(error)}`);
		},
		with: () => log,
	};
	return log;
}
