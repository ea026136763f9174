import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Readable, Writable} from 'node:stream';
import {runProgram} from '../run-program.ts';
import {readFifo, writeFifo} from './fifo.ts';

/** Where a process's input comes from and its output goes. */
export interface StdioPaths {
	/** Each the path of a FIFO or a `file:///path`; empty for none. */
	readonly stdin: string;
	readonly stdout: string;
	readonly stderr: string;
	readonly terminal: boolean;
}

/**
 * How a process is connected: `pipe` gives streams, which must be read, or the process waits when it has written some 64 KiB; `none` is
 * /dev/null; `{log}` appends both outputs to a file on the daemon's machine.
 */
export type StdioChoice = 'pipe' | 'none' | {readonly log: string};

/** The streams of a process, over FIFOs in a private directory that goes when this is disposed. */
export class Stdio implements AsyncDisposable {
	readonly paths: StdioPaths;
	readonly stdin: Writable | undefined;
	readonly stdout: Readable | undefined;
	/** None for a terminal, which has but one output. */
	readonly stderr: Readable | undefined;
	readonly #directory: string | undefined;

	private constructor({paths, stdin, stdout, stderr, directory}: Pick<Stdio, 'paths' | 'stdin' | 'stdout' | 'stderr'> & {readonly directory: string | undefined}) {
		this.paths = paths;
		this.stdin = stdin;
		this.stdout = stdout;
		this.stderr = stderr;
		this.#directory = directory;
	}

	/** `inputClosed` is called when stdin was ended and its FIFO is closed. */
	static async open(choice: StdioChoice, {tty = false, inputClosed}: {readonly tty?: boolean; readonly inputClosed: () => Promise<void>}): Promise<Stdio> {
		if (choice !== 'pipe') {
			const log = choice === 'none' ? '' : choice.log.startsWith('/') ? `file://${choice.log}` : choice.log;
			return new Stdio({paths: {stdin: '', stdout: log, stderr: tty ? '' : log, terminal: tty}, stdin: undefined, stdout: undefined, stderr: undefined, directory: undefined});
		}
		await using undo = new AsyncDisposableStack();
		const directory = await mkdtemp(join(tmpdir(), 'keelson-stdio-'));
		undo.defer(() => rm(directory, {recursive: true, force: true}));
		const paths = {stdin: join(directory, 'stdin'), stdout: join(directory, 'stdout'), stderr: tty ? '' : join(directory, 'stderr'), terminal: tty};
		await runProgram('mkfifo', ['-m', '600', ...[paths.stdin, paths.stdout, paths.stderr].filter(path => path !== '')]);
		const stdout = await readFifo(paths.stdout);
		undo.defer(() => void stdout.destroy());
		const stderr = tty ? undefined : await readFifo(paths.stderr);
		undo.move();
		return new Stdio({paths, stdin: writeFifo(paths.stdin, inputClosed), stdout, stderr, directory});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.stdin?.destroy();
		this.stdout?.destroy();
		this.stderr?.destroy();
		if (this.#directory !== undefined) {
			await rm(this.#directory, {recursive: true, force: true});
		}
	}
}
