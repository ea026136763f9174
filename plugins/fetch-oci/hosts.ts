import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {hostsInDirectory} from './hosts-directory.ts';

export type Capability = 'pull' | 'resolve' | 'push';

/** How a host is reached and believed. Values of one content share connections. */
export interface Trust {
	readonly skipVerify: boolean;
	/** PEM; in place of the system's authorities. */
	readonly ca?: readonly string[];
	/** PEM; several, where a host takes any of them. */
	readonly client?: readonly {readonly certificate: string; readonly key: string}[];
	/** Milliseconds until a connection must stand. */
	readonly dialTimeoutMs?: number;
}

/** A place that answers for a registry: the registry itself, or a mirror. */
export interface RegistryHost {
	/** `https://host/v2` */
	readonly base: URL;
	readonly capabilities: ReadonlySet<Capability>;
	/** Names in lower case. Sent to this host alone. */
	readonly headers: Readonly<Record<string, string>>;
	readonly trust: Trust;
	/** What its own configuration says of who is asking. */
	readonly credentials?: Credentials;
	/** The registry that it stands for, where it is another: told with each question as `ns`. */
	readonly mirrorOf?: string;
}

/** Tells the hosts of a registry; undefined when it knows nothing of it. */
export type HostsRule = (registry: string, own: RegistryHost) => Promise<readonly RegistryHost[] | undefined>;

export interface HostsOptions {
	/** Trees of hosts.toml; the first that has the registry's directory counts. */
	readonly directories: readonly string[];
	/** What counts where no tree does. */
	readonly otherwise?: HostsRule;
	readonly defaultScheme?: string;
}

const ALL: ReadonlySet<Capability> = new Set<Capability>(['pull', 'resolve', 'push']);

/**
 * The hosts to ask for a registry, mirrors first, the registry itself last (containerd docs/hosts.md). Rejects with INVALID_ARGUMENT, naming the file.
 */
export async function hostsFor(registry: string, {directories, otherwise, defaultScheme}: HostsOptions): Promise<readonly RegistryHost[]> {
	const own = ownHost(registry, defaultScheme);
	for (const directory of directories) {
		const found = await hostsInDirectory(directory, registry, own);
		if (found !== undefined) {
			return found.map(host => standingFor(registry, own, host));
		}
	}
	return (await otherwise?.(registry, own) ?? [own]).map(host => standingFor(registry, own, host));
}

/** The registry as its name says. */
function ownHost(registry: string, defaultScheme = ''): RegistryHost {
	const scheme = defaultScheme === '' ? (isLoopback(registry) ? 'http' : 'https') : defaultScheme;
	if (scheme !== 'http' && scheme !== 'https') {
		throw new KeelsonError('INVALID_ARGUMENT', `scheme ${JSON.stringify(scheme)} of registry ${registry}: expected http or https`);
	}
	// Docker Hub's name is not its address.
	const address = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
	return {base: new URL(`${scheme}://${address}/v2`), capabilities: ALL, headers: {}, trust: {skipVerify: false}};
}

function standingFor(registry: string, own: RegistryHost, host: RegistryHost): RegistryHost {
	return host.base.host === own.base.host || host.base.host === registry ? host : {...host, mirrorOf: registry};
}

export function isLoopback(host: string): boolean {
	const name = host.replace(/:\d+$/, '');
	return name === 'localhost' || name === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(name);
}
