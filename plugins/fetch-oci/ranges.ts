import type {Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {headerOf, requestFailed, type HttpResponse} from './http-client.ts';

/** Bytes of a blob: from `start` on, up to and without `end`. */
export interface Span {
	readonly start: number;
	readonly end: number;
}

export interface RangeSource {
	readonly digest: Digest;
	readonly size: number;
	/** Asks for a span; whoever answers may send more, from the beginning or beyond the end. */
	ask(span: Span, signal: AbortSignal): Promise<HttpResponse>;
}

export interface Parts {
	/** Requests at a time; 1: the blob comes in one answer. */
	readonly concurrency: number;
	/** Bytes of a part; so many are kept in memory for each request. No more than `partsBytesMax` with all of them. */
	readonly bytes: number;
}

/** What the parts of one blob may have of memory: several layers are under way at a time, of each image that is pulled. */
export const partsBytesMax = 16 * 1024 * 1024;

/**
 * The bytes of a blob from an offset on: in one answer, or in parts that are asked for at once and given in order. A registry that knows no ranges is read and
 * skipped. No more than the parts' bytes have been asked for and not been taken; a chunk is valid until the next is asked for. Rejects with UNAVAILABLE when bytes end early or come from elsewhere.
 */
export async function* readRange(source: RangeSource, offset: number, {concurrency, bytes}: Parts, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
	const {size} = source;
	if (concurrency < 2 || size - offset < bytes * 2) {
		yield* bodyFrom(source, await source.ask({start: offset, end: size}, signal), {start: offset, end: size}, signal);
		return;
	}
	const first = await source.ask({start: offset, end: offset + bytes}, signal);
	if (first.statusCode !== 206) {
		yield* bodyFrom(source, first, {start: offset, end: size}, signal);
		return;
	}
	const ending = new AbortController();
	const both = AbortSignal.any([signal, ending.signal]);
	const parts: {readonly memory: Uint8Array; readonly filled: Promise<Uint8Array>}[] = [];
	const free: Uint8Array[] = [];
	let next = offset + bytes;
	const begin = (): void => {
		if (next < size) {
			// Shared: the thread that keeps it reads it where it is. Used again, since what is garbage is memory until it is collected.
			const memory = free.pop() ?? new Uint8Array(new SharedArrayBuffer(bytes));
			const filled = fillPart(source, {start: next, end: Math.min(next + bytes, size)}, memory, both);
			// It is met when its turn comes.
			filled.catch(() => undefined);
			parts.push({memory, filled});
			next += bytes;
		}
	};
	try {
		for (let count = 1; count < concurrency; count++) {
			begin();
		}
		yield* bodyFrom(source, first, {start: offset, end: offset + bytes}, both);
		for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
			begin();
			yield await part.filled;
			free.push(part.memory);
		}
	} finally {
		ending.abort(new KeelsonError('CANCELLED', `download of ${source.digest} ended`));
	}
}

async function fillPart(source: RangeSource, span: Span, memory: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
	const response = await source.ask(span, signal);
	if (response.statusCode !== 206) {
		response.body.destroy();
		throw new KeelsonError('UNAVAILABLE', `${source.digest}: bytes ${span.start} to ${span.end} were asked for, the answer is ${response.statusCode}`);
	}
	const size = span.end - span.start;
	let length = 0;
	for await (const chunk of bodyFrom(source, response, span, signal)) {
		if (length + chunk.length > size) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `part of ${source.digest} has more than ${size} bytes`);
		}
		memory.set(chunk, length);
		length += chunk.length;
	}
	if (length !== size) {
		throw new KeelsonError('UNAVAILABLE', `${source.digest}: bytes ${span.start} to ${span.end} were asked for, ${length} came`);
	}
	return memory.subarray(0, size);
}

/** What of an answer lies in the span; an answer without a range begins at 0. What comes beyond a blob's own end is given too: whoever keeps it says what is wrong. */
async function* bodyFrom({digest, size}: RangeSource, response: HttpResponse, {start, end}: Span, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
	let toSkip = start - firstByte(response, start, digest);
	let left = end === size ? Infinity : end - start;
	try {
		for await (const chunk of response.body) {
			const rest = toSkip >= chunk.length ? chunk.subarray(chunk.length) : chunk.subarray(toSkip, toSkip + left);
			toSkip = Math.max(0, toSkip - chunk.length);
			left -= rest.length;
			if (rest.length > 0) {
				yield rest;
			}
			if (left <= 0) {
				return;
			}
		}
	} catch (error) {
		throw requestFailed(error, `download of ${digest} from ${response.url.host}`, signal);
	}
}

/** Where an answer begins (RFC 9110, section 14.4). Rejects with UNAVAILABLE what begins beyond what was asked for. */
function firstByte(response: HttpResponse, start: number, digest: Digest): number {
	if (response.statusCode !== 206) {
		return 0;
	}
	const range = headerOf(response, 'content-range');
	const [, said] = /^bytes (\d+)-/.exec(range) ?? [];
	const first = said === undefined ? start : Number.parseInt(said, 10);
	if (first > start) {
		response.body.destroy();
		throw new KeelsonError('UNAVAILABLE', `${digest} was asked for from byte ${start} on, the answer has ${JSON.stringify(range.slice(0, 100))}`);
	}
	return first;
}
