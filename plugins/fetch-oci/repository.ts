import type {OpenOptions, Repository} from '../../contracts/fetch/fetch.ts';
import {parseDescriptor, type Descriptor} from '../../contracts/oci/descriptor.ts';
import {digestAlgorithm, digestHex, type Digest} from '../../contracts/oci/digest.ts';
import {isIndex, isManifest, mediaTypes} from '../../contracts/oci/media-type.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {requestFailed, type HttpResponse} from './http-client.ts';
import {readJson} from './read-body.ts';
import {headerOf, type Session} from './session.ts';

const REFERRERS_BYTES_MAX = 4 * 1024 * 1024;

/** A repository to pull from. */
export class OciRepository implements Repository {
	readonly name: string;
	readonly descriptor: Descriptor;
	readonly #session: Session;

	constructor(name: string, descriptor: Descriptor, session: Session) {
		this.name = name;
		this.descriptor = descriptor;
		this.#session = session;
	}

	async *open(descriptor: Descriptor, {offset = 0, signal: own}: OpenOptions = {}): AsyncIterable<Uint8Array> {
		const signal = this.#session.signal(own);
		if (offset >= descriptor.size && descriptor.size > 0) {
			return;
		}
		const {response} = await this.#locate(descriptor, offset, signal);
		// A registry that does not know ranges sends all, and one may begin earlier than asked: what was to be left out is skipped.
		let toSkip = offset - firstByte(response, offset, descriptor);
		try {
			for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
				if (toSkip >= chunk.length) {
					toSkip -= chunk.length;
				} else {
					yield toSkip === 0 ? chunk : chunk.subarray(toSkip);
					toSkip = 0;
				}
			}
		} catch (error) {
			throw requestFailed(error, `download of ${descriptor.digest} from ${this.#session.reference.host}`, signal);
		}
	}

	async referrers(subject: Digest, {artifactType, signal}: {readonly artifactType?: string; readonly signal?: AbortSignal} = {}): Promise<readonly Descriptor[]> {
		const ask = async (path: string): Promise<unknown> => {
			const {response} = await this.#session.ask({
				method: 'GET', path, headers: {accept: mediaTypes.ociIndex}, ...(artifactType === undefined ? {} : {query: {artifactType}}), ...(signal === undefined ? {} : {signal}),
			}, 'pull');
			return readJson(response.body, {limit: REFERRERS_BYTES_MAX, what: `referrers of ${subject}`});
		};
		const document = await ask(`referrers/${subject}`)
			// A registry older than the referrers API keeps them under a tag made of the digest.
			.catch(unlessMissing(async () => ask(`manifests/${digestAlgorithm(subject)}-${digestHex(subject)}`)))
			.catch(unlessMissing(async () => ({manifests: []})));
		const manifests = typeof document === 'object' && document !== null && 'manifests' in document && Array.isArray(document.manifests) ? document.manifests : [];
		return manifests.map(one => parseDescriptor(one, `referrers of ${subject}`))
			.filter(one => artifactType === undefined || one.artifactType === artifactType);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#session.close();
	}

	async #locate({mediaType, digest}: Descriptor, offset: number, signal: AbortSignal): ReturnType<Session['ask']> {
		const headers = {accept: `${mediaType}, */*`, ...(offset === 0 ? {} : {range: `bytes=${offset}-`})};
		const ask = async (kind: string): ReturnType<Session['ask']> => this.#session.ask({method: 'GET', path: `${kind}/${digest}`, headers, signal}, 'pull');
		if (isIndex(mediaType) || isManifest(mediaType)) {
			return ask('manifests');
		}
		try {
			return await ask('blobs');
		} catch (error) {
			// An artifact's manifest may have a type that nobody here knows.
			if (!isKeelsonError(error, 'NOT_FOUND') || !mediaType.endsWith('+json')) {
				throw error;
			}
			return ask('manifests');
		}
	}
}

/** Where an answer begins (RFC 9110, section 14.4). Rejects with UNAVAILABLE what begins beyond what was asked for. */
function firstByte(response: HttpResponse, offset: number, {digest}: Descriptor): number {
	if (response.statusCode !== 206) {
		return 0;
	}
	const range = headerOf(response, 'content-range');
	const [, start] = /^bytes (\d+)-/.exec(range) ?? [];
	const first = start === undefined ? offset : Number.parseInt(start, 10);
	if (first > offset) {
		response.body.destroy();
		throw new KeelsonError('UNAVAILABLE', `${digest} was asked for from byte ${offset} on, the answer has ${JSON.stringify(range.slice(0, 100))}`);
	}
	return first;
}

function unlessMissing<T>(otherwise: () => Promise<T>): (error: unknown) => Promise<T> {
	return async error => {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw KeelsonError.from(error);
		}
		return otherwise();
	};
}

/** What `resolve` sends: every manifest that we can read. */
export const manifestAccept = [mediaTypes.dockerManifest, mediaTypes.dockerIndex, mediaTypes.ociManifest, mediaTypes.ociIndex, '*/*'].join(', ');
