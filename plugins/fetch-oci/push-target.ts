import type {PushOptions, PushTarget, PushWriter} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isIndex, isManifest} from '../../contracts/oci/media-type.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {RegistryHost} from './hosts.ts';
import {BlobWriter, ManifestWriter} from './push-writer.ts';
import {headerOf, type Session} from './session.ts';

/** A repository to push to (distribution-spec, Pushing). */
export class OciPushTarget implements PushTarget {
	readonly #session: Session;

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

	async #manifest(descriptor: Descriptor, {byDigest = false, signal}: PushOptions & {signal: AbortSignal}): Promise<PushWriter | undefined> {
		const {tag, digest} = this.#session.reference;
		const path = `manifests/${byDigest ? descriptor.digest : tag ?? digest ?? descriptor.digest}`;
		// A tag that is there may stand for anything: only the digest says that it is this manifest.
		if (await this.#head(path, descriptor, {signal, isNamedByDigest: path.endsWith(descriptor.digest)})) {
			return undefined;
		}
		return new ManifestWriter(descriptor, async body => {
			const {response} = await this.#session.ask({method: 'PUT', path, headers: {'content-type': descriptor.mediaType}, body, signal}, 'push');
			await response.body.dump();
		});
	}

	async #blob(descriptor: Descriptor, {mountFrom, signal}: PushOptions & {signal: AbortSignal}): Promise<PushWriter | undefined> {
		if (await this.#head(`blobs/${descriptor.digest}`, descriptor, {signal, isNamedByDigest: true})) {
			return undefined;
		}
		const query = mountFrom === undefined ? {} : {mount: descriptor.digest, from: mountFrom};
		const {response, host} = await this.#session.ask({method: 'POST', path: 'blobs/uploads/', query, headers: {'content-length': '0'}, body: '', signal}, 'push');
		await response.body.dump();
		if (response.statusCode === 201) {
			return undefined;
		}
		const location = locationOf(headerOf(response, 'location'), host);
		location.searchParams.set('digest', descriptor.digest);
		return new BlobWriter(descriptor, async body => {
			const headers = {'content-type': 'application/octet-stream', 'content-length': String(descriptor.size)};
			const answer = await this.#session.sendTo(host, location, {method: 'PUT', headers, body, signal}, 'push');
			await answer.body.dump();
		});
	}

	async #head(path: string, {digest, mediaType}: Descriptor, {signal, isNamedByDigest}: {readonly signal: AbortSignal; readonly isNamedByDigest: boolean}): Promise<boolean> {
		try {
			const {response} = await this.#session.ask({method: 'HEAD', path, headers: {accept: `${mediaType}, */*`}, signal}, 'push');
			await response.body.dump();
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

function locationOf(location: string, host: RegistryHost): URL {
	if (location === '' || !URL.canParse(location, host.base.href)) {
		throw new KeelsonError('UNAVAILABLE', `${host.base.host} began an upload without saying where: location ${JSON.stringify(location.slice(0, 200))}`);
	}
	return new URL(location, host.base);
}
