import {KeelsonError} from '../../kernel/errors.ts';
import type {ImageConfig} from '../image/image-config.ts';
import {defaultSpec} from './default-spec.ts';
import type {Spec, SpecMount, SpecUser} from './spec.ts';

/** What a container shall be, beside what its image says. */
export interface SpecOptions {
	/** Instead of the image's command, and after its entrypoint. */
	readonly args?: readonly string[];
	/** `NAME=value`; over the image's. A name without `=` takes the name away. */
	readonly env?: readonly string[];
	readonly cwd?: string;
	readonly tty?: boolean;
	/** Of the terminal. */
	readonly size?: {readonly columns: number; readonly rows: number};
	readonly hostname?: string;
	/** Shares the machine's network, its hosts file and its resolver. */
	readonly hostNetwork?: boolean;
	/** The root file system cannot be written. */
	readonly readOnly?: boolean;
	readonly mounts?: readonly SpecMount[];
	/** Bytes. */
	readonly memoryLimit?: number;
	/** Of one processor: 0.5 is half of one. */
	readonly cpus?: number;
	readonly annotations?: Readonly<Record<string, string>>;
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const CPU_PERIOD_US = 100_000;

/** Rejects with INVALID_ARGUMENT when neither the image nor the options name a program. */
export function containerSpec({namespace, id, config, user, options}: {
	readonly namespace: string;
	readonly id: string;
	readonly config: ImageConfig;
	readonly user: SpecUser;
	readonly options: SpecOptions;
}): Spec {
	const args = [...config.entrypoint, ...options.args ?? config.command];
	if (args.length === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', `the image of ${id} has neither entrypoint nor command, and none is given`);
	}
	const spec = defaultSpec({namespace, id, process: {
		args,
		env: mergedEnvironment([...config.environment.length === 0 ? [DEFAULT_PATH] : config.environment, ...options.tty === true ? ['TERM=xterm'] : []], options.env ?? []),
		cwd: options.cwd ?? (config.workingDirectory === '' ? '/' : config.workingDirectory),
		user,
	}});
	const {tty = false, size, hostname, hostNetwork = false, readOnly = false, mounts = [], memoryLimit, cpus, annotations} = options;
	return {
		...spec,
		process: {
			...spec.process,
			...(tty ? {terminal: true} : {}),
			...(tty && size !== undefined ? {consoleSize: {width: size.columns, height: size.rows}} : {}),
		},
		root: {...spec.root, ...(readOnly ? {readonly: true} : {})},
		...(hostname === undefined ? {} : {hostname}),
		...(annotations === undefined ? {} : {annotations}),
		mounts: [...spec.mounts, ...hostNetwork ? [hostFile('/etc/hosts'), hostFile('/etc/resolv.conf')] : [], ...mounts],
		linux: {
			...spec.linux,
			namespaces: spec.linux.namespaces.filter(({type}) => !hostNetwork || type !== 'network'),
			resources: {
				...spec.linux.resources,
				...(memoryLimit === undefined ? {} : {memory: {limit: memoryLimit}}),
				...(cpus === undefined ? {} : {cpu: {quota: Math.round(cpus * CPU_PERIOD_US), period: CPU_PERIOD_US}}),
			},
		},
	};
}

/** Later ones replace earlier ones of the same name, in the place of these. */
export function mergedEnvironment(base: readonly string[], over: readonly string[]): string[] {
	const merged = new Map(base.map(entry => [nameOf(entry), entry]));
	for (const entry of over) {
		if (entry.includes('=')) {
			merged.set(nameOf(entry), entry);
		} else {
			merged.delete(entry);
		}
	}
	return [...merged.values()];
}

function nameOf(entry: string): string {
	return entry.split('=', 1)[0] ?? entry;
}

function hostFile(path: string): SpecMount {
	return {destination: path, type: 'bind', source: path, options: ['rbind', 'ro']};
}
