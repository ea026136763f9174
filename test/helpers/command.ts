import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {setImmediate, setTimeout as sleep} from 'node:timers/promises';

/** What a program left: its exit status (undefined when a signal ended it) and all that it printed. */
export interface Outcome {
	readonly command: string;
	readonly code: number | undefined;
	readonly signal: string | undefined;
	readonly stdout: string;
	readonly stderr: string;
	/** Standard output as bytes, where it is not text. */
	readonly bytes: Buffer;
}

export interface CommandOptions {
	/** Default 60,000. The program is killed at the end of it, and the call rejects with what was printed until then. */
	readonly timeoutMs?: number;
	readonly input?: string | Uint8Array;
	readonly env?: Readonly<Record<string, string | undefined>>;
	readonly cwd?: string;
}

const outputLimit = 64 * 1024 * 1024;
// A grandchild may hold the pipes open for ever (runc's init does): what it prints later is nobody's.
const quietRounds = 50;

/** Runs a program to its end. Resolves with any exit status; rejects when it cannot be started, prints more than 64 MiB or is late. */
export async function command(file: string, args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
	const {timeoutMs = 60_000} = options;
	const line = [file, ...args].join(' ');
	const child = spawn(file, args, {cwd: options.cwd, env: {...process.env, ...options.env}, stdio: ['pipe', 'pipe', 'pipe']});
	const stdout: Buffer[] = [];
	const stderr: Buffer[] = [];
	let size = 0;
	for (const [stream, into] of [[child.stdout, stdout], [child.stderr, stderr]] as const) {
		stream.on('data', (chunk: Buffer) => {
			size += chunk.length;
			if (size > outputLimit) {
				child.kill('SIGKILL');
			} else {
				into.push(chunk);
			}
		});
	}

	// A program that does not read its input ends the pipe; its exit status tells.
	child.stdin.on('error', () => undefined);
	child.stdin.end(options.input);
	let isLate = false;
	const timer = setTimeout(() => {
		isLate = true;
		child.kill('SIGKILL');
	}, timeoutMs);
	try {
		const [code, signal] = await once(child, 'exit') as [number | null, string | null];
		await drained(child);
		child.stdout.destroy();
		child.stderr.destroy();
		const bytes = Buffer.concat(stdout);
		const outcome = {command: line, code: code ?? undefined, signal: signal ?? undefined, bytes, stdout: bytes.toString(), stderr: Buffer.concat(stderr).toString()};
		if (isLate) {
			throw new Error(`${line}: not done after ${timeoutMs} ms; stdout: ${tail(outcome.stdout)}; stderr: ${tail(outcome.stderr)}`);
		}

		if (size > outputLimit) {
			throw new Error(`${line}: printed more than ${outputLimit} bytes`);
		}

		return outcome;
	} finally {
		clearTimeout(timer);
	}
}

/**
 * Resolves once all that a program which has ended had printed is read: at the end of both streams, or where somebody else holds them when nothing
 * has come for a second. That second is counted in looks, each after what waits was read: one in which this process did not run is none.
 */
export async function drained(child: ChildProcess): Promise<void> {
	const {stdout, stderr} = child;
	const closed = once(child, 'close').catch(() => undefined);
	const streams = [stdout, stderr].filter(stream => stream !== null);
	let hasCome = false;
	const come = (): void => {
		hasCome = true;
	};
	streams.forEach(stream => stream.on('data', come));
	try {
		for (let round = 0; round < quietRounds && streams.some(stream => !stream.readableEnded && !stream.destroyed); round = hasCome ? 0 : round + 1) {
			hasCome = false;
			await (round === 0 ? setImmediate() : Promise.race([sleep(20), closed]));
			await setImmediate();
		}
	} finally {
		streams.forEach(stream => stream.off('data', come));
	}
}

/** Like `command`, and rejects with what was printed when the exit status is not 0. */
export async function succeed(file: string, args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
	const outcome = await command(file, args, options);
	if (outcome.code !== 0) {
		throw new Error(`${outcome.command}: exit ${outcome.code ?? outcome.signal}; stdout: ${tail(outcome.stdout)}; stderr: ${tail(outcome.stderr)}`);
	}

	return outcome;
}

/** The last part of a long text, for messages. */
export function tail(text: string): string {
	const trimmed = text.trim();
	return trimmed.length > 2000 ? `...${trimmed.slice(-2000)}` : trimmed;
}
