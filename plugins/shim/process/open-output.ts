import {closeSync, constants, fchownSync, mkdirSync, openSync, statSync} from 'node:fs';
import path from 'node:path';
import {KeelsonError} from '../../../kernel/errors.ts';
import {setPipeSize} from '../../../lib/sys/pipe.ts';

export interface IoOwner {
	readonly uid: number;
	readonly gid: number;
}

/** Of each FIFO: what a container may print while nobody reads, before it waits. The kernel's own limit for those without privilege. */
const fifoBytes = 1024 * 1024;

/** What a client named for output, opened. */
export interface OpenOutput {
	readonly fd: number;
	/**
	 * Of a FIFO, an end of ours for reading and writing: while it is open, a reader that comes and goes sees no end and the writer gets no
	 * SIGPIPE. Emptied by whoever closes them.
	 */
	readonly kept: number[];
}

/** Never blocks. Rejects with NOT_FOUND for a FIFO that is not there; a file is made. */
export function openOutput(uri: string, {uid, gid}: IoOwner): OpenOutput {
	const file = toPath(uri);
	const isFile = uri.startsWith('file://');
	if (isFile) {
		mkdirSync(path.dirname(file), {recursive: true, mode: 0o755});
	} else if (isFifo(file)) {
		const kept = openSync(file, constants.O_RDWR);
		try {
			if (uid !== 0 || gid !== 0) {
				fchownSync(kept, uid, gid);
			}
			setPipeSize(kept, fifoBytes);
			// At once: there is a reader, us. Not for reading too: CRIU would keep with a process what waits in a FIFO that it can read.
			return {fd: openSync(file, constants.O_WRONLY), kept: [kept]};
		} catch (error) {
			closeSync(kept);
			throw error;
		}
	}
	return {fd: openSync(file, constants.O_WRONLY | constants.O_APPEND | (isFile ? constants.O_CREAT : 0), 0o644), kept: []};
}

/** Opens a client's FIFO to read from; `kept` is our writing end, without which the process would see the end before the client came. */
export function openInput(uri: string): {readonly reader: number; readonly kept: number | undefined} {
	const file = toPath(uri);
	if (!isFifo(file)) {
		return {reader: openSync(file, constants.O_RDONLY), kept: undefined};
	}
	const kept = openSync(file, constants.O_RDWR);
	try {
		return {reader: openSync(file, constants.O_RDONLY), kept};
	} catch (error) {
		closeSync(kept);
		throw error;
	}
}

/** The path within a `fifo://`, `file://` or scheme-less URI. Throws INVALID_ARGUMENT for another scheme. */
function toPath(uri: string): string {
	const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s.exec(uri) ?? [];
	if (scheme === undefined || rest === undefined) {
		return uri;
	}
	if (scheme !== 'fifo' && scheme !== 'file') {
		throw new KeelsonError('INVALID_ARGUMENT', `stdio ${JSON.stringify(uri.slice(0, 200))} has scheme ${scheme}, expected fifo, file, binary or binary-v2`);
	}
	return decodeURIComponent(rest.split('?', 1)[0] ?? '');
}

function isFifo(file: string): boolean {
	try {
		return statSync(file).isFIFO();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			throw new KeelsonError('NOT_FOUND', `stdio ${file}: no such file`, {cause: error});
		}
		throw error;
	}
}
