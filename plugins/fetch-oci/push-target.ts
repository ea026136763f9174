import type {PushOptions, PushTarget, PushWriter} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isIndex, isManifest} from '../../contracts/oci/media-type.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {BlobUpload} from './blob-upload.ts';
import type {RegistryHost} from './hosts.ts';
import {discard, headerOf, type HttpResponse} from './http-client.ts';
import {BlobWriter, ManifestWriter, StreamWriter} from './push-writer.ts';
import type {Session} from './session.ts';

type Asking = PushOptions & {readonly signal: AbortSignal};

/** A repository to push to (distribution-spec, Pushing). */
export class OciPushTarget implements PushTarget {
	readonly #session: Session;
	#takesChunks = true;

	constructor(session: Session) {
		this.#session = session;
	}

	async push(descriptor: Descriptor, options: PushOptions = {}): Promise<PushWriter | undefined> {
		const {mediaType} = descriptor;
		const signal = this.#session.signal(options.signal);
		return isIndex(mediaType) || isManifest(mediaType) ? this.#manifest(descriptor, {...options, signal}) : this.#blob(descriptor, {...options, signal});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#session.close();
	}

	async #manifest(descriptor: Descriptor, {byDigest = false, signal}: Asking): Promise<PushWriter | undefined> {
		const {tag, digest} = this.#session.reference;
		const path = `manifests/${byDigest ? descriptor.digest : tag ?? digest ?? descriptor.digest}`;
		// A tag that is there may stand for anything: only the digest says that it is this manifest.
		if (await this.#head(path, descriptor, {signal, isNamedByDigest: path.endsWith(descriptor.digest)})) {
			return undefined;
		}
		return new ManifestWriter(descriptor, async body => {
			const {response} = await this.#session.ask({method: 'PUT', path, headers: {'content-type': descriptor.mediaType}, body, signal}, 'push');
			await discard(response);
		});
	}

	async #blob(descriptor: Descriptor, {mountFrom, signal}: Asking): Promise<PushWriter | undefined> {
		if (await this.#head(`blobs/${descriptor.digest}`, descriptor, {signal, isNamedByDigest: true})) {
			return undefined;
		}
		const {response, host} = await this.#begin(descriptor, {signal, ...(mountFrom === undefined ? {} : {mountFrom})});
		await discard(response);
		if (response.statusCode === 201) {
			return undefined;
		}
		const upload = new BlobUpload(this.#session, {host, begun: response, signal});
		return this.#takesChunks ? new BlobWriter(descriptor, upload, () => {
			this.#takesChunks = false;
		}) : new StreamWriter(descriptor, upload);
	}

	/** Mounting needs the right to read the other repository too; whoever has not got it sends the bytes. */
	async #begin({digest}: Descriptor, {mountFrom, signal}: Asking): Promise<{response: HttpResponse; host: RegistryHost}> {
		const request = {method: 'POST', path: 'blobs/uploads/', headers: {'content-length': '0'}, body: '', signal} as const;
		if (mountFrom !== undefined) {
			this.#session.mayRead(mountFrom, true);
			try {
				return await this.#session.ask({...request, query: {mount: digest, from: mountFrom}}, 'push');
			} catch (error) {
				if (!isKeelsonError(error, 'UNAUTHENTICATED') && !isKeelsonError(error, 'PERMISSION_DENIED') && !isKeelsonError(error, 'NOT_FOUND')) {
					throw error;
				}
				this.#session.mayRead(mountFrom, false);
			}
		}
		return this.#session.ask(request, 'push');
	}

	async #head(path: string, {digest, mediaType}: Descriptor, {signal, isNamedByDigest}: {readonly signal: AbortSignal; readonly isNamedByDigest: boolean}): Promise<boolean> {
		try {
			const {response} = await this.#session.ask({method: 'HEAD', path, headers: {accept: `${mediaType}, */*`}, signal}, 'push');
			await discard(response);
			const said = headerOf(response, 'docker-content-digest');
			return said === '' ? isNamedByDigest : said === digest;
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return false;
			}
			throw error;
		}
	}
}
