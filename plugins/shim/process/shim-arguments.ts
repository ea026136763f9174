import {KeelsonError} from '../../../kernel/errors.ts';
import {parseIdentifier} from '../../../contracts/oci/identifier.ts';

/** `spare` is ours: a process that becomes a shim when it is told for whom. */
export type ShimAction = 'start' | 'spare' | 'delete' | 'version' | 'info';

/** What a daemon says to a shim's binary, by flags and environment. */
export interface ShimArguments {
	readonly action: ShimAction;
	readonly namespace: string;
	readonly id: string;
	/** The daemon's gRPC address. */
	readonly address: string;
	readonly bundle: string;
	readonly debug: boolean;
	readonly publishBinary: string;
	/** The daemon's ttrpc address, for events; empty: none. */
	readonly ttrpcAddress: string;
	/** The newest protocol that the daemon speaks; 0: it expects a bare address. */
	readonly versionMax: number;
	/** Where runtimes keep their state; below it a directory a namespace. */
	readonly runtimeRoot: string;
}

/** Flags as Go's flag package has them (`-name value`, `--name=value`), then the action. Throws INVALID_ARGUMENT. */
export function parseShimArguments(words: readonly string[], environment: Readonly<Record<string, string | undefined>>): ShimArguments {
	const flags = new Map<string, string>();
	const rest: string[] = [];
	for (let at = 0; at < words.length; at++) {
		const [, name, value] = /^--?([a-z][a-z-]*|v)(?:=(.*))?$/s.exec(words[at] ?? '') ?? [];
		if (name === undefined) {
			rest.push(words[at] ?? '');
		} else if (value !== undefined) {
			flags.set(name, value);
		} else if (booleans.has(name)) {
			flags.set(name, 'true');
		} else {
			at++;
			flags.set(name, words[at] ?? '');
		}
	}
	const text = (name: string): string => flags.get(name) ?? '';
	const action = text('v') === 'true' ? 'version' : text('info') === 'true' ? 'info' : rest[0];
	if (action !== 'start' && action !== 'spare' && action !== 'delete' && action !== 'version' && action !== 'info') {
		throw new KeelsonError('INVALID_ARGUMENT', `action is ${JSON.stringify(action ?? '')}, expected start or delete`);
	}
	const isAbout = action === 'start' || action === 'delete';
	return {
		action,
		namespace: isAbout ? parseIdentifier(text('namespace'), 'namespace') : '',
		id: isAbout ? parseIdentifier(text('id'), 'container id') : '',
		address: text('address'),
		bundle: text('bundle'),
		debug: text('debug') === 'true',
		publishBinary: text('publish-binary'),
		ttrpcAddress: environment['TTRPC_ADDRESS'] ?? '',
		versionMax: Number(environment['MAX_SHIM_VERSION'] ?? 0) || 0,
		runtimeRoot: environment['KEELSON_RUNTIME_ROOT'] || '/run/containerd/runc',
	};
}

const booleans = new Set(['v', 'info', 'debug']);
