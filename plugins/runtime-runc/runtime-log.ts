import {statSync} from 'node:fs';
import {open} from 'node:fs/promises';

/** What is read at most of what one call has logged. */
const readBytesMax = 64 * 1024;

/** The place in a runtime's log where a call begins to write; 0 when there is no log yet. */
export function endOfLog(path: string): number {
	return statSync(path, {throwIfNoEntry: false})?.size ?? 0;
}

/** The last error that was logged since `from`, as the runtime worded it; undefined when there is none, or no log. */
export async function lastErrorSince(path: string, from: number): Promise<string | undefined> {
	try {
		await using file = await open(path, 'r');
		const {size} = await file.stat();
		const start = Math.max(Math.min(from, size), size - readBytesMax);
		const {buffer, bytesRead} = await file.read(Buffer.alloc(size - start), 0, size - start, start);
		return lastErrorIn(buffer.subarray(0, bytesRead).toString());
	} catch {
		// A runtime that could not even be executed has written nothing.
		return undefined;
	}
}

/** Reads a log of JSON objects (`--log-format json`): runc writes one a line, crun its newer versions one over many; other lines are passed over. */
export function lastErrorIn(text: string): string | undefined {
	let last: string | undefined;
	let begun = '';
	for (const line of text.split('\n')) {
		begun = line.startsWith('{') ? line : `${begun}\n${line}`;
		const entry = line.trimEnd().endsWith('}') ? parseLine(begun) : undefined;
		if (entry?.level === 'error' && typeof entry.msg === 'string' && entry.msg !== '') {
			last = entry.msg.trim();
		}
	}
	return last;
}

function parseLine(line: string): {readonly level?: unknown; readonly msg?: unknown} | undefined {
	try {
		const entry: unknown = JSON.parse(line);
		return typeof entry === 'object' && entry !== null ? entry : undefined;
	} catch {
		return undefined;
	}
}
