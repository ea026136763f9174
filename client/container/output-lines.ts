import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';

/** A line that a process printed, without its end. */
export interface OutputLine {
	readonly stream: 'stdout' | 'stderr';
	readonly line: string;
}

/** The lines of both streams as they come, until both have ended. Of each stream they are in order; no faster than they are taken. */
export async function* outputLines(streams: {readonly stdout: Readable | undefined; readonly stderr: Readable | undefined}): AsyncGenerator<OutputLine, void, undefined> {
	const readers = (['stdout', 'stderr'] as const).flatMap(stream => {
		const input = streams[stream];
		return input === undefined ? [] : [{stream, lines: createInterface({input, crlfDelay: Number.POSITIVE_INFINITY})[Symbol.asyncIterator]()}];
	});
	const next = async (reader: typeof readers[number]) => ({reader, result: await reader.lines.next()});
	const pending = new Map(readers.map(reader => [reader, next(reader)]));
	try {
		while (pending.size > 0) {
			const {reader, result} = await Promise.race(pending.values());
			if (result.done === true) {
				pending.delete(reader);
			} else {
				pending.set(reader, next(reader));
				yield {stream: reader.stream, line: result.value};
			}
		}
	} finally {
		for (const {lines} of readers) {
			await lines.return?.();
		}
	}
}
