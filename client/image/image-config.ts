import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** What an image says of the process that it is for, and of its layers (image-spec config.md). All of it comes from strangers. */
export interface ImageConfig {
	readonly environment: readonly string[];
	readonly entrypoint: readonly string[];
	readonly command: readonly string[];
	/** Empty where the image names none. */
	readonly workingDirectory: string;
	/** `user`, `uid`, `user:group`, ...; empty where the image names none. */
	readonly user: string;
	/** A name or number; empty where the image names none. */
	readonly stopSignal: string;
	/** Digests of the unpacked layers, lowest first. */
	readonly diffIds: readonly Digest[];
}

/** Rejects with INVALID_ARGUMENT, naming `where` and the field that is not of its type. */
export function parseImageConfig(document: Readonly<Record<string, unknown>>, where: string): ImageConfig {
	const config = recordOf(document['config'] ?? {}, `${where}: config`);
	const rootfs = recordOf(document['rootfs'], `${where}: rootfs`);
	return {
		environment: textsOf(config['Env'], `${where}: Env`),
		entrypoint: textsOf(config['Entrypoint'], `${where}: Entrypoint`),
		command: textsOf(config['Cmd'], `${where}: Cmd`),
		workingDirectory: textOf(config['WorkingDir'], `${where}: WorkingDir`),
		user: textOf(config['User'], `${where}: User`),
		stopSignal: textOf(config['StopSignal'], `${where}: StopSignal`),
		diffIds: textsOf(rootfs['diff_ids'], `${where}: diff_ids`).map(text => parseDigest(text)),
	};
}

function recordOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is no object`);
	}
	return value as Readonly<Record<string, unknown>>;
}

function textsOf(value: unknown, what: string): readonly string[] {
	if (value === undefined || value === null) {
		return [];
	}
	if (!Array.isArray(value) || !value.every(one => typeof one === 'string')) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is no list of texts`);
	}
	return value;
}

function textOf(value: unknown, what: string): string {
	if (value === undefined || value === null) {
		return '';
	}
	if (typeof value !== 'string') {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is no text`);
	}
	return value;
}
