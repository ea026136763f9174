import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {HEADER_LENGTH_MAX, parseChallenges, type Challenge} from './challenge.ts';
import type {RegistryHost} from './hosts.ts';
import type {HttpClient} from './http-client.ts';
import {mergeScopes} from './scope.ts';
import {basicHeader, fetchToken} from './token.ts';

/** Who is asking, as somebody told. */
export interface Identity {
	readonly credentials: Credentials;
	/** Told for this very request: when it is refused, that is an error. What lay in a file only helps. */
	readonly isOwn: boolean;
}

interface Parts {
	readonly http: HttpClient;
	readonly trustedRealms: readonly string[];
	readonly identify: (host: RegistryHost, signal: AbortSignal, challenge: string) => Promise<Identity | undefined>;
}

interface Asked {
	readonly host: RegistryHost;
	/** What the request needs, merged. */
	readonly scopes: readonly string[];
	/** The header that was refused. */
	readonly refused: string | undefined;
	readonly signal: AbortSignal;
}

/** Answers challenges for one pull or push; tokens are kept by host and scopes as long as it lives. */
export class Authorizer {
	readonly #parts: Parts;
	readonly #headers = new Map<string, string>();
	readonly #answering = new Map<string, Promise<string | undefined>>();

	constructor(parts: Parts) {
		this.#parts = parts;
	}

	/** What to send with a request; undefined until the host has asked. */
	headerFor(host: RegistryHost, scopes: readonly string[]): string | undefined {
		return this.#headers.get(keyOf(host, scopes));
	}

	/**
	 * Finds an answer to a 401, once for all requests that wait for the same. False when there is none but what was refused. Rejects with what the last way of
	 * answering failed with.
	 */
	async answer(header: string, asked: Asked): Promise<boolean> {
		const {host, scopes, refused} = asked;
		const key = keyOf(host, scopes);
		const known = this.#headers.get(key);
		if (known !== undefined && known !== refused) {
			// Somebody else has asked meanwhile.
			return true;
		}
		let answering = this.#answering.get(key);
		if (answering === undefined) {
			answering = this.#find(header.slice(0, HEADER_LENGTH_MAX), asked).finally(() => this.#answering.delete(key));
			this.#answering.set(key, answering);
		}
		const found = await answering;
		if (found === undefined || found === refused) {
			return false;
		}
		this.#headers.set(key, found);
		return true;
	}

	/** The first challenge that can be answered, tokens before passwords. */
	async #find(header: string, asked: Asked): Promise<string | undefined> {
		const challenges = parseChallenges(header);
		const identity = await this.#parts.identify(asked.host, asked.signal, header);
		const credentials = identity?.credentials;
		if (credentials?.header !== undefined && /^bearer /i.test(credentials.header)) {
			return credentials.header;
		}
		let failure: KeelsonError | undefined;
		for (const challenge of challenges.filter(({scheme}) => scheme === 'bearer')) {
			try {
				return `Bearer ${await this.#token(challenge, identity, asked)}`;
			} catch (error) {
				asked.signal.throwIfAborted();
				failure ??= KeelsonError.from(error);
			}
		}
		if (credentials?.header !== undefined && failure === undefined) {
			return credentials.header;
		}
		if (credentials !== undefined && credentials.username !== '' && challenges.some(({scheme}) => scheme === 'basic')) {
			return basicHeader(credentials);
		}
		if (failure !== undefined) {
			throw failure;
		}
		return undefined;
	}

	async #token(challenge: Challenge, identity: Identity | undefined, {host, scopes, signal}: Asked): Promise<string> {
		// A mirror may have the repository elsewhere, and says where.
		const wish = {...this.#parts, host, challenge, scopes: mergeScopes([...scopes, challenge.parameters.get('scope') ?? '']), signal};
		try {
			return await fetchToken({...wish, credentials: identity?.credentials});
		} catch (error) {
			// Credentials in a file may be old; what everybody may read can be read without.
			if (identity === undefined || identity.isOwn || !isKeelsonError(error, 'UNAUTHENTICATED')) {
				throw error;
			}
			return await fetchToken({...wish, credentials: undefined}).catch(() => {
				throw error;
			});
		}
	}
}

function keyOf({base}: RegistryHost, scopes: readonly string[]): string {
	return `${base.host} ${scopes.join(' ')}`;
}
