import type {Readable} from 'node:stream';
import type {Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {RegistryHost} from './hosts.ts';
import {discard, headerOf, type HttpResponse} from './http-client.ts';
import type {Session} from './session.ts';

const RESUMES_MAX = 5;
const CHUNK_BYTES_MAX = 64 * 1024 * 1024;

interface Begun {
	readonly host: RegistryHost;
	/** The answer to the request that opened the upload. */
	readonly begun: HttpResponse;
	readonly signal: AbortSignal;
}

/** An upload that a registry has opened (distribution-spec, Pushing a blob in chunks): each answer says where the next request goes. */
export class BlobUpload {
	/** Bytes that the registry wants in a chunk at least; 0 when it does not say. */
	readonly chunkBytesMin: number;
	readonly #session: Session;
	readonly #host: RegistryHost;
	readonly #signal: AbortSignal;
	#location: URL;

	constructor(session: Session, {host, begun, signal}: Begun) {
		this.#session = session;
		this.#host = host;
		this.#signal = signal;
		this.#location = locationOf(begun, host, undefined);
		this.chunkBytesMin = Math.min(CHUNK_BYTES_MAX, Number.parseInt(headerOf(begun, 'oci-chunk-min-length'), 10) || 0);
	}

	/**
	 * Sends bytes that begin at `offset`. When the way breaks, the registry is asked what has arrived, and is sent the rest. Rejects with UNAVAILABLE when
	 * that happens again and again.
	 */
	async append(offset: number, chunk: Uint8Array): Promise<void> {
		let sent = 0;
		for (let resumes = 0; sent < chunk.length;) {
			const rest = chunk.subarray(sent);
			try {
				const first = offset + sent;
				const answer = await this.#session.sendTo(this.#host, this.#location, {
					method: 'PATCH', body: rest, signal: this.#signal,
					headers: {'content-type': 'application/octet-stream', 'content-range': `${first}-${first + rest.length - 1}`, 'content-length': String(rest.length)},
				}, 'push');
				await discard(answer);
				this.#location = locationOf(answer, this.#host, this.#location);
				return;
			} catch (error) {
				// 416: the registry has another offset in mind; it may have kept a chunk whose answer was lost.
				if (this.#signal.aborted || ++resumes > RESUMES_MAX || (!isKeelsonError(error, 'UNAVAILABLE') && !isKeelsonError(error, 'OUT_OF_RANGE'))) {
					throw error;
				}
				const arrived = await this.#arrived(error);
				if (arrived < offset || arrived > offset + chunk.length) {
					throw new KeelsonError('UNAVAILABLE', `upload to ${this.#host.base.host} has ${arrived} bytes, of which ${offset} were acknowledged and ${offset + chunk.length} sent`, {cause: error});
				}
				sent = arrived - offset;
			}
		}
	}

	/** The last request; may bring all the bytes, `size` of them. Rejects with INVALID_ARGUMENT when the registry finds another digest. */
	async finish(digest: Digest, body: Uint8Array | Readable, size: number): Promise<void> {
		const location = new URL(this.#location);
		location.searchParams.set('digest', digest);
		const headers = {'content-type': 'application/octet-stream', 'content-length': String(size)};
		await discard(await this.#session.sendTo(this.#host, location, {method: 'PUT', headers, body, signal: this.#signal}, 'push'));
	}

	/** How many bytes the registry has (`Range: 0-<last>`). */
	async #arrived(cause: Error): Promise<number> {
		const answer = await this.#session.sendTo(this.#host, this.#location, {method: 'GET', signal: this.#signal}, 'push');
		await discard(answer);
		this.#location = locationOf(answer, this.#host, this.#location);
		const range = headerOf(answer, 'range');
		const [, last] = /^(?:bytes=)?0-(\d+)$/.exec(range) ?? [];
		if (last === undefined) {
			throw new KeelsonError('UNAVAILABLE', `upload to ${this.#host.base.host} broke, and it does not say what has arrived: range ${JSON.stringify(range.slice(0, 100))}`, {cause});
		}
		// `0-0` is also how nothing is said; one byte sent twice is found out by the digest.
		return last === '0' ? 0 : Number.parseInt(last, 10) + 1;
	}
}

function locationOf(response: HttpResponse, host: RegistryHost, before: URL | undefined): URL {
	const location = headerOf(response, 'location');
	if (location === '' && before !== undefined) {
		return before;
	}
	if (location === '' || !URL.canParse(location, host.base.href)) {
		throw new KeelsonError('UNAVAILABLE', `${host.base.host} began an upload without saying where: location ${JSON.stringify(location.slice(0, 200))}`);
	}
	const url = new URL(location, host.base);
	if (url.protocol !== 'https:' && (url.protocol !== 'http:' || host.base.protocol === 'https:')) {
		throw new KeelsonError('PERMISSION_DENIED', `${host.base.host} wants an upload sent to ${url.protocol}//${url.host}: refused, it is less safe`);
	}
	return url;
}
