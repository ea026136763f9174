import {closeSync, readSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {createPipe} from '../../lib/sys/pipe.ts';
import {waitForChild} from '../../lib/sys/process.ts';
import {spawnProcess} from '../../lib/sys/spawn.ts';
import {pollTwo, spliceToPipe} from '../../lib/sys/splice.ts';
import type {Program} from './decompressor.ts';
import type {LayerSource} from './layer-source.ts';

const pipeBytes = 1024 * 1024;
const pollMs = 100;

/** Inflates in a process, on real pipes. Rejects as inflate does. */
export async function inflateByProgram(source: LayerSource, program: Program, use: (bytes: Buffer) => void): Promise<void> {
	const output = createPipe(pipeBytes);
	const input = source.isWhole ? undefined : createPipe(pipeBytes);
	let pid: number;
	try {
		pid = spawnProcess(program.path, program.args, {fds: {0: input?.reader ?? source.fd, 1: output.writer}});
	} catch (error) {
		closeSync(output.reader);
		if (input !== undefined) {
			closeSync(input.writer);
		}
		throw error;
	} finally {
		closeSync(output.writer);
		if (input !== undefined) {
			closeSync(input.reader);
		}
	}
	let isRead = false;
	try {
		await (input === undefined ? readAll(source, output.reader, use) : pump(source, {input: input.writer, output: output.reader}, use));
		isRead = true;
	} finally {
		closeSync(output.reader);
		if (!isRead) {
			process.kill(pid, 'SIGKILL');
		}
		const {exitCode, signal} = await waitForChild(pid);
		if (isRead && exitCode !== 0) {
			// oxlint-disable-next-line no-unsafe-finally -- nothing else was thrown when all was read
			throw new KeelsonError('DATA_LOSS', `the layer is damaged or cut short: ${program.path} ended with ${signal ?? exitCode}`);
		}
	}
}

async function readAll(source: LayerSource, output: number, use: (bytes: Buffer) => void): Promise<void> {
	const buffer = Buffer.allocUnsafe(pipeBytes);
	for (let length = readSync(output, buffer); length > 0; length = readSync(output, buffer)) {
		source.check();
		use(buffer.subarray(0, length));
	}
}

/** Gives the program what the file has by now, and takes what it makes of it. Closes `input`. */
async function pump(source: LayerSource, {input, output}: {readonly input: number; readonly output: number}, use: (bytes: Buffer) => void): Promise<void> {
	const buffer = Buffer.allocUnsafe(pipeBytes);
	let isOpen = true;
	try {
		for (let fed = 0, isFull = false; ;) {
			// In this order: what is whole has all its bytes.
			const {isWhole} = source;
			const {bytes} = source;
			source.check();
			if (isOpen && fed < bytes && !isFull) {
				const moved = feed(source, fed, {input, length: bytes - fed});
				fed = moved === undefined ? Number.POSITIVE_INFINITY : fed + moved;
				isFull = moved === 0;
			}
			if (isOpen && isWhole && fed >= bytes) {
				isOpen = false;
				closeSync(input);
			}
			const isDry = isOpen && fed >= bytes;
			const {canRead, canWrite} = pollTwo(output, isFull && isOpen ? input : undefined, isDry || (isOpen && !isFull) ? 0 : pollMs);
			isFull &&= !canWrite;
			if (canRead) {
				const length = readSync(output, buffer);
				if (length === 0) {
					return;
				}
				use(buffer.subarray(0, length));
			} else if (isDry) {
				await rest(source, fed, output);
			}
		}
	} finally {
		if (isOpen) {
			closeSync(input);
		}
	}
}

/** @returns undefined when the program takes no more: it has ended, and its status says why */
function feed({fd}: LayerSource, at: number, {input, length}: {readonly input: number; readonly length: number}): number | undefined {
	try {
		return spliceToPipe(fd, at, input, Math.min(length, pipeBytes));
	} catch (error) {
		if (errnoOf(error) === 'EPIPE') {
			return undefined;
		}
		throw error;
	}
}

/** The program may still be at work on what it has. */
async function rest(source: LayerSource, fed: number, output: number): Promise<void> {
	if (!pollTwo(output, undefined, 2).canRead) {
		await source.beyond(fed);
	}
}
