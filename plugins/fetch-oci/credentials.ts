import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {askCredentialHelper} from './credentials-helper.ts';
import type {RegistryHost} from './hosts.ts';

/** Tells who is asking a host; undefined when it does not know. */
export type CredentialSource = (host: string, signal: AbortSignal) => Promise<Credentials | undefined>;

/** An operator's entry for a host. */
export interface CredentialEntry {
	readonly username: string;
	readonly password: string;
	/** A refresh token, instead of the two above. */
	readonly identity_token: string;
	/** `x`: ask the program docker-credential-x. */
	readonly helper: string;
}

/** The entries of a table, by host as requests name it; `docker.io` also stands for the address of its registry. */
export function configuredCredentials(entries: Readonly<Record<string, CredentialEntry>>): CredentialSource {
	return async (host, signal) => {
		const entry = entries[host] ?? (isDockerHub(host) ? entries['docker.io'] : undefined);
		if (entry === undefined) {
			return undefined;
		}
		if (entry.helper !== '') {
			return askCredentialHelper(entry.helper, host, signal);
		}
		return entry.identity_token === '' ? {username: entry.username, secret: entry.password} : {username: '', secret: entry.identity_token};
	};
}

/** The first that knows: what stands beside the host, then each source in turn. */
export async function firstOf(sources: readonly CredentialSource[], {base, credentials}: RegistryHost, signal: AbortSignal): Promise<Credentials | undefined> {
	if (credentials !== undefined) {
		return credentials;
	}
	for (const source of sources) {
		const found = await source(base.host, signal);
		if (found !== undefined) {
			return found;
		}
	}
	return undefined;
}

export function isDockerHub(host: string): boolean {
	return host === 'docker.io' || host === 'index.docker.io' || host === 'registry-1.docker.io';
}
