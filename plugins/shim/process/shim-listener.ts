import {chmodSync, mkdirSync, rmSync} from 'node:fs';
import {createServer, type Server} from 'node:net';
import path from 'node:path';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {connectTtrpc} from '../../../lib/ttrpc/client.ts';
import type {TtrpcServer} from '../../../lib/ttrpc/server.ts';

const probeMs = 2000;

/** The socket of a shim, and who is connected. */
export class ShimListener implements AsyncDisposable {
	readonly #path: string;
	readonly #listener: Server;
	#connections = 0;

	private constructor(socketPath: string, server: TtrpcServer) {
		this.#path = socketPath;
		this.#listener = createServer(socket => {
			this.#connections++;
			void server.serve(socket).finally(() => {
				this.#connections--;
			});
		});
	}

	/** Rejects with ALREADY_EXISTS when somebody answers there; a socket that was left behind is replaced. */
	static async open(socketPath: string, server: TtrpcServer): Promise<ShimListener> {
		mkdirSync(path.dirname(socketPath), {recursive: true, mode: 0o711});
		await removeStale(socketPath);
		const listener = new ShimListener(socketPath, server);
		const before = process.umask(0o177);
		try {
			await listener.#listen();
		} finally {
			process.umask(before);
		}
		chmodSync(socketPath, 0o600);
		return listener;
	}

	get connections(): number {
		return this.#connections;
	}

	/** Nobody can connect from now on; those who are go on. */
	async [Symbol.asyncDispose](): Promise<void> {
		if (!this.#listener.listening) {
			// Somebody else may be there by now.
			return;
		}
		rmSync(this.#path, {force: true});
		this.#listener.close();
	}

	async #listen(): Promise<void> {
		const {promise, resolve, reject} = Promise.withResolvers<void>();
		this.#listener.once('error', reject);
		this.#listener.listen(this.#path, resolve);
		await promise;
		this.#listener.off('error', reject).on('error', () => undefined);
	}
}

async function removeStale(socketPath: string): Promise<void> {
	try {
		await using _ = await connectTtrpc(socketPath, {signal: AbortSignal.timeout(probeMs)});
		throw new KeelsonError('ALREADY_EXISTS', `a shim listens at ${socketPath} already`);
	} catch (error) {
		if (isKeelsonError(error, 'UNAVAILABLE')) {
			rmSync(socketPath, {force: true});
		} else if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
	}
}
