import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {digestOf, manifestType, type Image} from './oci-image.ts';

export type Misdeed = 'nothing' | '404' | '500' | 'garbage' | 'wrong-manifest' | 'wrong-layer' | 'truncated-layer' | 'none';

/** A registry that serves one image, `bad:latest`, and does one thing wrong. Plain HTTP on loopback. */
export class BadRegistry implements AsyncDisposable {
	readonly image: string;
	readonly #server: Server;

	private constructor(server: Server) {
		this.#server = server;
		this.image = `127.0.0.1:${(server.address() as AddressInfo).port}/bad:latest`;
	}

	static async start(misdeed: Misdeed, image: Image): Promise<BadRegistry> {
		const server = createServer((request, response) => answer(misdeed, image, request, response)).listen(0, '127.0.0.1');
		await once(server, 'listening');
		return new BadRegistry(server);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		this.#server.close();
		await once(this.#server, 'close');
	}
}

function answer(misdeed: Misdeed, {manifest, config, layers}: Image, request: IncomingMessage, response: ServerResponse): void {
	const path = request.url ?? '';
	switch (misdeed) {
		case 'nothing': {
			return;
		}

		case '404': case '500': {
			response.writeHead(Number(misdeed)).end('{"errors":[]}');
			return;
		}

		case 'garbage': {
			response.writeHead(200, {'content-type': manifestType, 'content-length': 8}).end(request.method === 'HEAD' ? undefined : 'garbage!');
			return;
		}

		case 'none': case 'truncated-layer': case 'wrong-layer': case 'wrong-manifest': {
			break;
		}
	}

	if (path === '/v2/') {
		response.writeHead(200).end();
		return;
	}

	const isManifest = path.includes('/manifests/');
	const blob = isManifest ? manifest : [config, ...layers].find(({digest}) => path.endsWith(digest));
	if (blob === undefined) {
		response.writeHead(404).end();
		return;
	}

	const isLayer = layers.some(({digest}) => digest === blob.digest);
	const bytes = (isManifest && misdeed === 'wrong-manifest') || (isLayer && misdeed === 'wrong-layer') ? spoilt(blob.bytes) : blob.bytes;
	response.writeHead(200, {'content-type': isManifest ? blob.mediaType : 'application/octet-stream', 'content-length': bytes.length, 'docker-content-digest': blob.digest});
	if (request.method === 'HEAD') {
		response.end();
	} else if (isLayer && misdeed === 'truncated-layer') {
		response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy());
	} else {
		response.end(bytes);
	}
}

/** The same length, another digest. */
function spoilt(bytes: Buffer): Buffer {
	const other = Buffer.from(bytes);
	other.writeUInt8(other.readUInt8(other.length - 1) ^ 0xFF, other.length - 1);
	if (digestOf(other) === digestOf(bytes)) {
		throw new Error('the bytes are not spoilt');
	}

	return other;
}
