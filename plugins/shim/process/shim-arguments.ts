import {KeelsonError} from '../../../kernel/errors.ts';
import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import {shimSocketDirectory} from '../protocol/shim-socket.ts';
import {bufferBytesDefault, parseStdioMode, stdioBufferVariable, stdioVariable, type StdioMode} from '../protocol/stdio-mode.ts';

/** `spare` is ours: a process that becomes a shim when it is told for whom. */
export type ShimAction = 'start' | 'spare' | 'delete' | 'version' | 'info';

/** How `start` says where the shim serves: as text alone, in JSON, or as the bytes of a BootstrapResult. */
export type ShimAnswer = 'address' | 'json' | 'bootstrap';

/** What a daemon says to a shim's binary, by flags and environment, or since containerd 2.3 on standard input. */
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
	readonly answer: ShimAnswer;
	/** The newest task protocol that is answered in JSON. */
	readonly versionMax: number;
	/** Where shims listen. */
	readonly socketDirectory: string;
	/** Where runtimes keep their state; below it a directory a namespace. */
	readonly runtimeRoot: string;
	/** For containers whose spec says nothing of it. */
	readonly stdio: StdioMode;
	/** What buffered output keeps at most of a stream. */
	readonly stdioBufferBytes: number;
	/** Where the daemon's spare shim takes copies of descriptors; empty: it has none. */
	readonly depot: string;
}

/**
 * Flags as Go's flag package has them (`-name value`, `--name=value`), then the action. Throws INVALID_ARGUMENT for another action; see
 * `expectNames` for what else is required.
 */
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
	const versionMax = Number(environment['MAX_SHIM_VERSION'] ?? 0) || 0;
	return {
		action,
		namespace: text('namespace'),
		id: text('id'),
		address: text('address'),
		bundle: text('bundle'),
		debug: text('debug') === 'true',
		publishBinary: text('publish-binary'),
		ttrpcAddress: environment['TTRPC_ADDRESS'] ?? '',
		// Before containerd 1.7 nobody said so, and expected no more than an address.
		answer: versionMax === 0 ? 'address' : 'json',
		versionMax,
		socketDirectory: shimSocketDirectory,
		runtimeRoot: environment['KEELSON_RUNTIME_ROOT'] || '/run/containerd/runc',
		stdio: parseStdioMode(environment[stdioVariable] ?? '', stdioVariable),
		stdioBufferBytes: Number(environment[stdioBufferVariable] ?? 0) || bufferBytesDefault,
		depot: environment['KEELSON_DEPOT'] ?? '',
	};
}

/** Throws INVALID_ARGUMENT unless the container is named: the names become parts of paths. */
export function expectNames({namespace, id}: ShimArguments): void {
	parseIdentifier(namespace, 'namespace');
	parseIdentifier(id, 'container id');
}

const booleans = new Set(['v', 'info', 'debug']);
