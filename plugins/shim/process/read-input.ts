import {readSync} from 'node:fs';
import {errnoOf} from '../../../lib/sys/libc.ts';
import {isReadableWithin} from '../../../lib/sys/poll.ts';
import {KeelsonError} from '../../../kernel/errors.ts';

/** Options, or what a shim is bootstrapped with. */
const bytesMax = 16 * 1024 * 1024;
/** Whoever starts a shim writes at once. */
const silenceMs = 10_000;

/**
 * All of standard input, which may be a pipe or socket that somebody else has set not to block. Throws DEADLINE_EXCEEDED when its other end is silent and
 * open, RESOURCE_EXHAUSTED for more than 16 MiB.
 */
export function readInput(): Buffer {
	const chunks: Buffer[] = [];
	for (let size = 0; size <= bytesMax;) {
		const chunk = Buffer.alloc(64 * 1024);
		const length = readSome(chunk);
		if (length === 0) {
			return Buffer.concat(chunks);
		}
		size += length ?? 0;
		chunks.push(chunk.subarray(0, length ?? 0));
		if (length === undefined && !isReadableWithin(0, silenceMs)) {
			throw new KeelsonError('DEADLINE_EXCEEDED', `standard input has not ended, and nothing came for ${silenceMs} ms`);
		}
	}
	throw new KeelsonError('RESOURCE_EXHAUSTED', `standard input has more than ${bytesMax} bytes`);
}

/** Undefined where there is nothing yet. */
function readSome(chunk: Buffer): number | undefined {
	try {
		return readSync(0, chunk);
	} catch (error) {
		if (errnoOf(error) === 'EAGAIN') {
			return undefined;
		}
		throw error;
	}
}
