import {createHash} from 'node:crypto';
import path from 'node:path';
import type {PushTarget, Registry, RegistryOptions, Repository} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isDigest, parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {formatReference, parseReference, type Reference} from '../../contracts/oci/reference.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {CredentialSource} from './credentials.ts';
import {hostsFor, type HostsRule} from './hosts.ts';
import {discard, headerOf, type HttpClient, type HttpResponse} from './http-client.ts';
import {OciPushTarget} from './push-target.ts';
import {readBytes} from './read-body.ts';
import type {Parts as RangeParts} from './ranges.ts';
import {OciRepository, manifestAccept} from './repository.ts';
import {Session} from './session.ts';

interface Parts {
	readonly http: HttpClient;
	readonly hostDirectories: readonly string[];
	readonly trustedRealms: readonly string[];
	/** What counts for registries of which no directory knows. */
	readonly otherwise?: HostsRule;
	/** Asked in turn when a request brings no credentials. */
	readonly credentials?: readonly CredentialSource[];
	/** How large blobs are fetched; default: in one answer. */
	readonly ranges?: RangeParts;
}

const WHOLE: RangeParts = {concurrency: 1, bytes: 0};

/** A manifest or index larger than this is refused (distribution-spec asks registries for at least 4 MiB). */
const MANIFEST_BYTES_MAX = 8 * 1024 * 1024;

/** The OCI distribution protocol, for every registry. */
export class OciRegistry implements Registry {
	readonly #parts: Parts;

	constructor(parts: Parts) {
		this.#parts = parts;
	}

	async resolve(reference: string, options: RegistryOptions = {}): Promise<Repository> {
		const parsed = parseReference(reference);
		const session = await this.#session(parsed, options);
		if (options.isToBeRead === true) {
			session.expectLarge();
		}
		try {
			return new OciRepository({name: formatReference(parsed), descriptor: await descriptorOf(session, parsed)}, session, this.#parts.ranges ?? WHOLE);
		} catch (error) {
			session.close();
			throw error;
		}
	}

	async target(reference: string, options: RegistryOptions = {}): Promise<PushTarget> {
		return new OciPushTarget(await this.#session(parseReference(reference), options));
	}

	async #session(reference: Reference, options: RegistryOptions): Promise<Session> {
		const directories = options.hostDirectory === undefined || options.hostDirectory === '' ? this.#parts.hostDirectories : options.hostDirectory.split(path.delimiter);
		const {otherwise, credentials = []} = this.#parts;
		const hosts = await hostsFor(reference.host, {
			directories, ...(options.defaultScheme === undefined ? {} : {defaultScheme: options.defaultScheme}), ...(otherwise === undefined ? {} : {otherwise}),
		});
		return new Session({...this.#parts, credentials, hosts, reference, options});
	}
}

/** HEAD says it in a few bytes; where it says too little, the manifest itself is read. */
async function descriptorOf(session: Session, reference: Reference): Promise<Descriptor> {
	const path = `manifests/${reference.digest ?? reference.tag ?? 'latest'}`;
	const headers = {accept: manifestAccept};
	// Some registries know no HEAD.
	const head = await session.ask({method: 'HEAD', path, headers}, 'resolve').catch((error: unknown) => {
		if (!isKeelsonError(error, 'UNIMPLEMENTED')) {
			throw error;
		}
		return undefined;
	});
	if (head !== undefined) {
		const {response} = head;
		await discard(response);
		const size = Number.parseInt(headerOf(response, 'content-length'), 10);
		const digest = reference.digest ?? digestIn(response);
		const mediaType = mediaTypeIn(response);
		if (digest !== undefined && size > 0 && mediaType !== '') {
			return {mediaType, digest, size};
		}
	}
	const {response: whole} = await session.ask({method: 'GET', path, headers}, 'resolve');
	const bytes = await readBytes(whole.body, {limit: MANIFEST_BYTES_MAX, what: `manifest ${formatReference(reference)}`});
	const computed: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
	const said = reference.digest ?? digestIn(whole) ?? computed;
	if (said.startsWith('sha256:') && said !== computed) {
		throw new KeelsonError('FAILED_PRECONDITION', `manifest ${formatReference(reference)} has digest ${computed}, expected ${said}`);
	}
	return {mediaType: mediaTypeIn(whole) || mediaTypes.ociManifest, digest: said, size: bytes.length};
}

function digestIn(response: HttpResponse): Digest | undefined {
	const text = headerOf(response, 'docker-content-digest');
	return text === '' ? undefined : isDigest(text) ? text : parseDigest(text);
}

function mediaTypeIn(response: HttpResponse): string {
	return (headerOf(response, 'content-type').split(';')[0] ?? '').trim();
}
