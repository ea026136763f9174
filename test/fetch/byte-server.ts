import {createServer, type AddressInfo, type Server, type Socket} from 'node:net';
import {createServer as createSecureServer} from 'node:tls';
import type {Issued} from '../helpers/authority.ts';

/** A loopback server that sends what a test says, byte for byte: for answers that no HTTP server would give. */
export class ByteServer implements AsyncDisposable {
	readonly url: URL;
	/** Heads of requests. */
	readonly asked: string[];
	/** All that were ever made. */
	readonly connections: readonly Socket[];
	readonly #server: Server;

	private constructor(url: URL, asked: string[], connections: readonly Socket[], server: Server) {
		this.url = url;
		this.asked = asked;
		this.connections = connections;
		this.#server = server;
	}

	/** `answer` is called for each request; `count` begins at 1, of all connections. */
	static async start(answer: (socket: Socket, request: string, count: number) => unknown, issued?: Pick<Issued, 'certificate' | 'key'>): Promise<ByteServer> {
		const asked: string[] = [];
		const connections: Socket[] = [];
		const serve = (socket: Socket): void => {
			let head = '';
			connections.push(socket);
			socket.setNoDelay(true).on('error', () => undefined).on('data', chunk => {
				head += chunk.toString('latin1');
				for (let end = head.indexOf('\r\n\r\n'); end >= 0; end = head.indexOf('\r\n\r\n')) {
					const request = head.slice(0, end);
					head = head.slice(end + 4);
					void answer(socket, request, asked.push(request));
				}
			});
		};
		const server = issued === undefined ? createServer(serve) : createSecureServer({cert: issued.certificate, key: issued.key, ALPNProtocols: ['http/1.1']}, serve);
		await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
		return new ByteServer(new URL(`${issued === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}/blob?x=1`), asked, connections, server);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const socket of this.connections) {
			socket.destroy();
		}
		await new Promise(resolve => this.#server.close(resolve));
	}
}
