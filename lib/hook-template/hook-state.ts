import {resolve} from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';
import type {TemplateFunctions} from './template.ts';

/** What an OCI runtime gives its hooks on standard input (runtime-spec runtime.md, State). */
export interface HookState {
	readonly id: string;
	readonly status: string;
	readonly pid: number;
	readonly bundle: string;
	readonly annotations: Readonly<Record<string, string>>;
}

/** Throws INVALID_ARGUMENT for bytes that are no such state; what it leaves out is empty. */
export function parseHookState(bytes: Buffer): HookState {
	const {id, status, pid, bundle, annotations} = parseObject(bytes, 'the state on standard input');
	const texts = Object.entries(typeof annotations === 'object' && annotations !== null ? annotations : {}).map(([key, value]) => [key, String(value)]);
	return {id: textOf(id), status: textOf(status), bundle: textOf(bundle), pid: Number(pid ?? 0), annotations: Object.fromEntries(texts)};
}

/** What templates of a hook may call; `spec` are the bytes of the bundle's config.json. */
export function hookFunctions({id, status, pid, bundle, annotations}: HookState, spec: Buffer): TemplateFunctions {
	const {root} = parseObject(spec, `config.json in ${bundle}`);
	const rootfs = typeof root === 'object' && root !== null && 'path' in root ? textOf(root.path) : '';
	return {
		id: () => id,
		bundle: () => bundle,
		rootfs: () => resolve(bundle, rootfs),
		pid: () => String(pid),
		annotation: (key) => Object.hasOwn(annotations, key ?? '') ? annotations[key ?? ''] ?? '' : '',
		status: () => status,
	};
}

function textOf(value: unknown): string {
	return typeof value === 'string' ? value : '';
}

function parseObject(bytes: Buffer, what: string): Readonly<Record<string, unknown>> {
	let value: unknown;
	try {
		value = JSON.parse(bytes.toString());
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is no JSON`, {cause: error});
	}
	if (typeof value !== 'object' || value === null) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is no object`);
	}
	return value as Readonly<Record<string, unknown>>;
}
