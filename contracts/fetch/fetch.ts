/**
 * Fetch: content from, and to, wherever a reference points. Descriptors in, bytes out. It never learns where bytes go.
 *
 *     resolve(reference) ─► descriptor ─► open(descriptor) ─► bytes
 *     push(descriptor) ─► PushWriter ─► write… ─► commit
 */

import {contract} from '../../kernel/contract.ts';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Digest} from '../oci/digest.ts';

export interface Credentials {
	/** Empty with a refresh token. */
	readonly username: string;
	/** Password or, with an empty username, a refresh token. */
	readonly secret: string;
	/** A whole Authorization header, instead of the two above. */
	readonly header?: string;
}

/** Where and how one pull or push talks; all of it optional. */
export interface RegistryOptions {
	/** Trees of hosts.toml, separated by colons; default: the plugin's own. */
	readonly hostDirectory?: string;
	/** `http` or `https`; default: https, and http for a registry on loopback. */
	readonly defaultScheme?: string;
	/** Sent with each request to the registry. */
	readonly headers?: ReadonlyMap<string, string>;
	/** What is resolved will be read whole, as far as the caller knows: what takes time may begin meanwhile. */
	readonly isToBeRead?: boolean;
	/** Asked when the registry wants to know who is there, with the challenges that it sent (one `WWW-Authenticate` header, at most 16 KiB); undefined: anonymous. */
	readonly credentials?: (host: string, signal: AbortSignal, challenge: string) => Promise<Credentials | undefined>;
	readonly signal?: AbortSignal;
}

export interface OpenOptions {
	/** First byte, default 0. A registry that cannot do ranges is read and skipped. */
	readonly offset?: number;
	readonly signal?: AbortSignal;
}

/** What one repository holds; made by `resolve`, so that hosts, tokens and connections are shared by a whole pull. */
export interface Repository extends AsyncDisposable {
	/** The reference as asked for, and what it pointed to. */
	readonly name: string;
	readonly descriptor: Descriptor;
	/**
	 * The bytes of a manifest or a blob; a chunk is valid until the next is asked for. They are not verified: whoever keeps them does that. Rejects with NOT_FOUND, UNAUTHENTICATED,
	 * PERMISSION_DENIED, UNAVAILABLE (no host answers), RESOURCE_EXHAUSTED (rate limit); a body that ends early rejects the iteration with UNAVAILABLE.
	 */
	open(descriptor: Descriptor, options?: OpenOptions): AsyncIterable<Uint8Array>;
	/** Descriptors of what refers to `subject` (distribution-spec, Listing Referrers); empty when there is none. */
	referrers(subject: Digest, options?: {readonly artifactType?: string; readonly signal?: AbortSignal}): Promise<readonly Descriptor[]>;
	/** Sentences that whoever pulls should read: how many requests a registry still allows, and what it warns of. */
	notices?(): readonly string[];
}

/** Bytes on their way to a registry. Disposed without commit, nothing is there. Rejects with UNAVAILABLE what may succeed when it is pushed anew from its first byte. */
export interface PushWriter extends AsyncDisposable {
	write(chunk: Uint8Array): Promise<void>;
	/** Resolves once the registry has it under its digest. Rejects with INVALID_ARGUMENT when the registry refuses it. */
	commit(signal?: AbortSignal): Promise<void>;
}

export interface PushOptions {
	/** A repository of the same registry that may have the blob already. */
	readonly mountFrom?: string;
	/** The manifest is one of an index, and gets no tag. */
	readonly byDigest?: boolean;
	readonly signal?: AbortSignal;
}

export interface PushTarget extends AsyncDisposable {
	/** Undefined when the registry has it already. A manifest goes under the reference's tag, unless `byDigest`. */
	push(descriptor: Descriptor, options?: PushOptions): Promise<PushWriter | undefined>;
}

export interface Registry {
	/** Rejects with INVALID_ARGUMENT (the reference), NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE. */
	resolve(reference: string, options?: RegistryOptions): Promise<Repository>;
	/** Opens a repository for pushing; a manifest is pushed under the reference's tag or digest. */
	target(reference: string, options?: RegistryOptions): Promise<PushTarget>;
}

export const Registry = contract('io.keelson.fetch.v1').for<Registry>();
