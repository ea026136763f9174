import {randomBytes} from 'node:crypto';
import {createServer, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {image, layer, type Blob} from '../test/helpers/oci-image.ts';
import {tar} from '../test/helpers/tar-writer.ts';
import {until} from '../test/helpers/until.ts';
import {oursByTransfer, withEntrant} from './entrants.ts';
import {onFreshDisk} from './fresh-disk.ts';

const LAYER_BYTES = 200 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const KILL_AT = 0.8;

/** The share of a layer of 200 MB that is fetched again after `kill -9` of the daemon at 80 % of it. */
export async function shareFetchedAgain(): Promise<number> {
	const big = layer(tar([{name: 'big', body: randomBytes(LAYER_BYTES)}]), 'none');
	await using registry = await CountingRegistry.start(big);
	return await onFreshDisk('tmpfs', async () => withEntrant(oursByTransfer, async (pull, daemon) => {
		const first = pull(registry.reference).catch(() => undefined);
		await until('four fifths of the layer to be sent', async () => registry.sent >= KILL_AT * big.bytes.length, {timeoutMs: 60_000, everyMs: 1});
		await daemon.kill9();
		await first;
		registry.goOn();
		await daemon.start();
		await pull(registry.reference);
		return (registry.sent - big.bytes.length) / big.bytes.length;
	}));
}

/** Sends the layer up to where the daemon is to be killed, and no further until it is told to; counts what it sends. */
class CountingRegistry implements AsyncDisposable {
	readonly reference: string;
	sent = 0;
	readonly #server: ReturnType<typeof createServer>;
	readonly #big: Blob;
	#isHolding = true;

	private constructor(server: ReturnType<typeof createServer>, big: Blob) {
		this.#server = server;
		this.#big = big;
		this.reference = `127.0.0.1:${(server.address() as AddressInfo).port}/big:latest`;
	}

	static async start(big: ReturnType<typeof layer>): Promise<CountingRegistry> {
		const {manifest, config} = image([big]);
		let registry: CountingRegistry | undefined;
		const server = createServer(({url = '', headers, method}, response) => {
			const one = [manifest, config, big].find(({digest}) => url.endsWith(digest)) ?? (url.endsWith('/latest') ? manifest : undefined);
			if (one === undefined) {
				response.end();
				return;
			}
			const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
			response.writeHead(from > 0 ? 206 : 200, {
				'content-type': one.mediaType, 'docker-content-digest': one.digest, 'content-length': one.bytes.length - from,
				...from > 0 ? {'content-range': `bytes ${from}-${one.bytes.length - 1}/${one.bytes.length}`} : {},
			});
			if (method === 'HEAD' || one !== big) {
				response.end(method === 'HEAD' ? undefined : one.bytes);
				return;
			}
			void registry?.send(response, from);
		});
		await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
		registry = new CountingRegistry(server, big);
		return registry;
	}

	goOn(): void {
		this.#isHolding = false;
	}

	async send(response: ServerResponse, from: number): Promise<void> {
		const {bytes} = this.#big;
		for (let at = from; at < bytes.length && !response.destroyed; at += CHUNK_BYTES) {
			if (this.#isHolding && at >= KILL_AT * bytes.length) {
				return;
			}
			const part = bytes.subarray(at, at + CHUNK_BYTES);
			this.sent += part.length;
			await new Promise<void>(resolve => response.write(part, () => resolve()));
		}
		response.end();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise(resolve => this.#server.close(resolve));
	}
}
