import {setTimeout as sleep} from 'node:timers/promises';
import type {Readable} from 'node:stream';
import type {Exit, Process} from '../container/process.ts';
import {gone} from '../container/container.ts';
import {KeelsonError} from '../../kernel/errors.ts';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const;
// A process that outlives the one that we wait for may hold the output open for ever.
const QUIET_MS = 1000;

/** The size of our own terminal. */
export function terminalSize(): {columns: number; rows: number} {
	const {columns, rows} = process.stdout;
	// Piped output has none.
	return {columns: columns ?? 80, rows: rows ?? 24};
}

/** Rejects with FAILED_PRECONDITION where our input is no terminal. */
export function needTerminal(): void {
	if (!process.stdin.isTTY) {
		throw new KeelsonError('FAILED_PRECONDITION', '-t needs a terminal, and standard input is none');
	}
}

/**
 * Joins our input, output and signals with a process's until it has ended and all its output is written; resolves with how it ended.
 * Ctrl-C goes to the process, which decides what it means.
 */
export async function attach(started: Process, {tty}: {readonly tty: boolean}): Promise<Exit> {
	await using undo = new AsyncDisposableStack();
	for (const name of tty ? FORWARDED.filter(each => each !== 'SIGINT') : FORWARDED) {
		const forward = (): void => void started.kill(name).catch(gone);
		process.on(name, forward);
		undo.defer(() => void process.off(name, forward));
	}
	if (tty) {
		process.stdin.setRawMode(true);
		undo.defer(() => void process.stdin.setRawMode(false));
		const resize = (): void => void started.resize(terminalSize()).catch(gone);
		resize();
		process.on('SIGWINCH', resize);
		undo.defer(() => void process.off('SIGWINCH', resize));
	}
	if (started.stdin !== undefined) {
		const {stdin} = started;
		process.stdin.pipe(stdin);
		// It ended before our input did.
		stdin.on('error', () => undefined);
		undo.defer(() => {
			process.stdin.unpipe(stdin);
			process.stdin.pause();
		});
	}
	// As in a pipeline of a shell: who prints for nobody ends. Nothing less ends the first process of a container for certain.
	const unread = (): void => void started.kill('SIGKILL').catch(gone);
	const outputs = [copied(started.stdout, process.stdout, unread), copied(started.stderr, process.stderr, unread)];
	const exit = await started.wait();
	await Promise.all(outputs.map(async output => output.rest()));
	return exit;
}

/** Copies an output; `unread` is called when our own reader has gone away. `rest` resolves when it has ended, or when nothing came any more for a second. */
function copied(from: Readable | undefined, to: NodeJS.WriteStream, unread: () => void): {rest(): Promise<void>} {
	if (from === undefined) {
		return {rest: async () => undefined};
	}
	let lastAt = performance.now();
	const {promise: ended, resolve} = Promise.withResolvers<void>();
	from.on('data', () => {
		lastAt = performance.now();
	});
	from.once('end', resolve);
	from.once('close', resolve);
	from.pipe(to, {end: false});
	to.on('error', () => {
		unread();
		from.unpipe(to);
		from.resume();
	});
	return {
		async rest() {
			const exitedAt = performance.now();
			const isQuiet = (): boolean => !to.writableNeedDrain && performance.now() - Math.max(lastAt, exitedAt) > QUIET_MS;
			while (!isQuiet() && !await Promise.race([ended.then(() => true), sleep(50, false)])) {
				// Wait on.
			}
		},
	};
}
