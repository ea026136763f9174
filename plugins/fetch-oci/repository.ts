import type {OpenOptions, Repository} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {isForeignLayer, isIndex, isManifest, mediaTypes} from '../../contracts/oci/media-type.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import type {HttpResponse} from './http-client.ts';
import {readRange, type Parts, type Span} from './ranges.ts';
import {referrersOf} from './referrers.ts';
import type {Session} from './session.ts';

const URLS_MAX = 8;
/** Less is not worth another thread. */
const LARGE_BYTES = 1024 * 1024;

/** A repository to pull from. */
export class OciRepository implements Repository {
	readonly name: string;
	readonly descriptor: Descriptor;
	readonly #session: Session;
	readonly #parts: Parts;

	constructor({name, descriptor}: {readonly name: string; readonly descriptor: Descriptor}, session: Session, parts: Parts) {
		this.name = name;
		this.descriptor = descriptor;
		this.#session = session;
		this.#parts = parts;
	}

	async *open(descriptor: Descriptor, {offset = 0, signal: own}: OpenOptions = {}): AsyncIterable<Uint8Array> {
		const signal = this.#session.signal(own);
		const {digest, size} = descriptor;
		if (offset < size || size === 0) {
			yield* readRange({digest, size, ask: async (span, inner) => this.#locate(descriptor, span, inner)}, offset, this.#parts, signal);
		}
	}

	async referrers(subject: Digest, options: {readonly artifactType?: string; readonly signal?: AbortSignal} = {}): Promise<readonly Descriptor[]> {
		return referrersOf(this.#session, subject, options);
	}

	notices(): readonly string[] {
		return this.#session.notices.list();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#session.close();
	}

	async #locate(descriptor: Descriptor, {start, end}: Span, signal: AbortSignal): Promise<HttpResponse> {
		const {mediaType, digest, size} = descriptor;
		const range = end < size ? {range: `bytes=${start}-${end - 1}`} : start > 0 ? {range: `bytes=${start}-`} : {};
		const wanted = {headers: {accept: `${mediaType}, */*`, ...range}, signal, isLarge: end - start >= LARGE_BYTES};
		const ask = async (kind: string): Promise<HttpResponse> => (await this.#session.ask({...wanted, method: 'GET', path: `${kind}/${digest}`}, 'pull')).response;
		if (isIndex(mediaType) || isManifest(mediaType)) {
			// What it names is larger.
			this.#session.expectLarge();
			return ask('manifests');
		}
		try {
			return await this.#elsewhere(descriptor, wanted) ?? await ask('blobs');
		} catch (error) {
			// An artifact's manifest may have a type that nobody here knows.
			if (!isKeelsonError(error, 'NOT_FOUND') || !mediaType.endsWith('+json')) {
				throw error;
			}
			return ask('manifests');
		}
	}

	/** A foreign layer lies where its own addresses say, and perhaps in the registry too. Whoever answers there is a stranger. */
	async #elsewhere({mediaType, urls = []}: Descriptor, wanted: Parameters<Session['askStranger']>[1] & {readonly signal: AbortSignal}): Promise<HttpResponse | undefined> {
		for (const text of isForeignLayer(mediaType) ? urls.slice(0, URLS_MAX) : []) {
			const url = URL.canParse(text) ? new URL(text) : undefined;
			if (url?.protocol === 'https:' || url?.protocol === 'http:') {
				try {
					return await this.#session.askStranger(url, wanted);
				} catch (error) {
					// The next address may be better, or the registry.
					if (wanted.signal.aborted || !isKeelsonError(error)) {
						throw error;
					}
				}
			}
		}
		return undefined;
	}
}

/** What `resolve` sends: every manifest that we can read. */
export const manifestAccept = [mediaTypes.dockerManifest, mediaTypes.dockerIndex, mediaTypes.ociManifest, mediaTypes.ociIndex, '*/*'].join(', ');
