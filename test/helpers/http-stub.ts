import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';

/** What a stub was asked. */
export interface Asked {
	readonly method: string;
	readonly url: string;
	readonly authorization: string | undefined;
	readonly headers: IncomingMessage['headers'];
}

/** A loopback server that answers as a test says: for registries that misbehave, which a real one does not. */
export class HttpStub implements AsyncDisposable {
	readonly host: string;
	readonly asked: Asked[];
	readonly #close: () => Promise<void>;

	private constructor(host: string, asked: Asked[], close: () => Promise<void>) {
		this.host = host;
		this.asked = asked;
		this.#close = close;
	}

	static async start(answer: (request: IncomingMessage, response: ServerResponse, stub: {host: string}) => void): Promise<HttpStub> {
		const asked: Asked[] = [];
		const self = {host: ''};
		const server = createServer((request, response) => {
			asked.push({method: request.method ?? '', url: request.url ?? '', authorization: request.headers.authorization, headers: request.headers});
			answer(request, response, self);
		});
		await new Promise<void>(resolve => {
			server.listen(0, '127.0.0.1', resolve);
		});
		self.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
		return new HttpStub(self.host, asked, async () => new Promise(resolve => {
			server.closeAllConnections();
			server.close(() => {
				resolve();
			});
		}));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#close();
	}
}
