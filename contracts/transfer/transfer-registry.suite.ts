import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Descriptor} from '../oci/descriptor.ts';
import type {MadeImage, Part} from './transfer-images.suite.ts';

export interface Asked {
	readonly method: string;
	/** `manifests/latest`, `blobs/sha256:…` */
	readonly path: string;
	readonly range: string | undefined;
}

/** Answers a request itself, and returns true; or leaves it to the registry. */
export type Lie = (asked: Asked, response: ServerResponse, registry: SmallRegistry) => boolean;

/** A registry on loopback that serves what a test made, in repository `app`, and lies as it is told. */
export class SmallRegistry implements AsyncDisposable {
	readonly asked: Asked[] = [];
	/** Connections that were ever made. */
	connections = 0;
	readonly #server: Server;
	readonly #parts: Map<string, Part>;
	readonly #lie: Lie;

	private constructor(server: Server, parts: Map<string, Part>, lie: Lie) {
		this.#server = server;
		this.#parts = parts;
		this.#lie = lie;
	}

	/** `root` is `app:latest`; everything is there by its digest too. */
	static async start(root: Part, images: readonly MadeImage[], lie: Lie = () => false): Promise<SmallRegistry> {
		const all = [root, ...images.flatMap(({manifest, config, layers}) => [manifest, config, ...layers])];
		const server = createServer().listen(0, '127.0.0.1');
		await once(server, 'listening');
		const registry = new SmallRegistry(server, new Map<string, Part>([...all.map(part => [part.digest, part] as const), ['latest', root]]), lie);
		server.on('connection', () => registry.connections++);
		server.on('request', (request, response) => {
			registry.#answer(request, response);
		});
		return registry;
	}

	get reference(): string {
		return `127.0.0.1:${(this.#server.address() as AddressInfo).port}/app:latest`;
	}

	/** How often the bytes of a blob were asked for. */
	asksFor({digest}: Descriptor): number {
		return this.asked.filter(({method, path}) => method === 'GET' && path.endsWith(digest)).length;
	}

	serve(part: Part, response: ServerResponse, {isHead = false, from = 0} = {}): void {
		const {mediaType, digest, bytes} = part;
		response.writeHead(from > 0 ? 206 : 200, {
			'content-type': mediaType, 'content-length': bytes.length - from, 'docker-content-digest': digest,
			...from > 0 ? {'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`} : {},
		});
		response.end(isHead ? undefined : bytes.subarray(from));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		this.#server.close();
		await once(this.#server, 'close');
	}

	#answer(request: IncomingMessage, response: ServerResponse): void {
		const [, path = ''] = /^\/v2\/app\/(.*)$/.exec(request.url ?? '') ?? [];
		const asked = {method: request.method ?? '', path, range: request.headers.range};
		this.asked.push(asked);
		if (this.#lie(asked, response, this)) {
			return;
		}
		const part = this.#parts.get(path.slice(path.lastIndexOf('/') + 1));
		if (part === undefined) {
			response.writeHead(404).end();
			return;
		}
		this.serve(part, response, {isHead: asked.method === 'HEAD', from: Number(/^bytes=(\d+)-$/.exec(asked.range ?? '')?.[1] ?? 0)});
	}
}
