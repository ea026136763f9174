import {access, constants, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {KeelsonError} from '../kernel/errors.ts';
import {hookFunctions, parseHookState} from '../lib/hook-template/hook-state.ts';
import {renderTemplate} from '../lib/hook-template/template.ts';
import {readInput} from '../lib/standard-input/read-input.ts';

const STATE_BYTES_MAX = 4 * 1024 * 1024;
/** What our launcher sets for us: no business of a hook's. */
const LAUNCHERS = new Set(['KEELSOND_BINARY', 'NODE_COMPILE_CACHE', 'MALLOC_ARENA_MAX']);

/**
 * Becomes the program that `words` name, a path and its arguments, once what they and the environment ask for in `{{...}}` is filled in from the
 * container's state. Returns only by rejecting: INVALID_ARGUMENT for a state or a template that makes no sense.
 */
export async function becomeHook(words: readonly string[]): Promise<never> {
	if (words[0] === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'oci-hook needs the path of a program');
	}
	const state = parseHookState(await readInput({bytesMax: STATE_BYTES_MAX}));
	const functions = hookFunctions(state, await readFile(join(state.bundle, 'config.json')));
	const [program = '', ...rest] = words.map((word) => renderTemplate(word, functions));
	const environment = Object.entries(process.env).filter(([name]) => !LAUNCHERS.has(name));
	const rendered = Object.fromEntries(environment.map(([name, value = '']) => [name, renderTemplate(value, functions)]));
	// An exec that fails ends Node with a core.
	await access(program, constants.X_OK);
	// Node ignores these, which an exec would pass on; libuv gives a signal back once nobody listens.
	for (const signal of ['SIGPIPE', 'SIGXFSZ'] as const) {
		const nothing = (): void => undefined;
		process.on(signal, nothing).removeListener(signal, nothing);
	}
	process.execve?.(program, [program, ...rest], rendered);
	throw new KeelsonError('INTERNAL', `${program} was not started`);
}
