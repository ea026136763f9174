/** What the configuration has that will be gone one day. */
export interface Deprecation {
	/** containerd's, by which operators and kubelets tell warnings apart. */
	readonly id: string;
	readonly message: string;
}

/** Of containerd's CRI plugin, newest first: where it keeps how registries are reached. */
const places = ['io.containerd.cri.v1.images', 'io.containerd.grpc.v1.cri'] as const;

const instead: Readonly<Record<string, string>> = {
	mirrors: 'hosts.toml files in the directories of `config_path`',
	configs: 'hosts.toml files in the directories of `config_path`, and credentials of the fetch plugin',
	auths: 'credentials of the fetch plugin',
};

/**
 * Warnings about keys of the daemon's configuration, in containerd's ids. Of containerd's warnings only these are about what is read here; that a file
 * is of an older format is none of them. Pure.
 */
export function deprecationsIn(config: Readonly<Record<string, unknown>>): readonly Deprecation[] {
	return Object.entries(instead).flatMap(([key, better]) => {
		const place = places.find(one => Object.keys(tableAt(config, 'plugins', one, 'registry', key)).length > 0);
		return place === undefined ? [] : [{
			id: `io.containerd.deprecation/cri-registry-${key}`,
			message: `\`${key}\` of [plugins.${JSON.stringify(place)}.registry] is an old way to say how registries are reached; use ${better}`,
		}];
	});
}

function tableAt(value: unknown, ...keys: readonly string[]): object {
	const found = keys.reduce<unknown>((at, key) => typeof at === 'object' && at !== null && Object.hasOwn(at, key) ? (at as Readonly<Record<string, unknown>>)[key] : undefined, value);
	return typeof found === 'object' && found !== null ? found : {};
}
