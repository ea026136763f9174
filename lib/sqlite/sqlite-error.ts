import {KeelsonError, type ErrorCode} from '../../kernel/errors.ts';

// Primary result codes, the low byte of an extended one (sqlite.org/rescode.html).
const CODES: Readonly<Record<number, ErrorCode>> = {
	5: 'UNAVAILABLE', // BUSY
	6: 'UNAVAILABLE', // LOCKED
	8: 'FAILED_PRECONDITION', // READONLY
	10: 'INTERNAL', // IOERR
	11: 'DATA_LOSS', // CORRUPT
	13: 'RESOURCE_EXHAUSTED', // FULL
	14: 'FAILED_PRECONDITION', // CANTOPEN
	26: 'DATA_LOSS', // NOTADB
};

/** Names the failures of a disk or a file by code, with `what` before the message; other errors stay as they are, for they are mistakes in a statement. */
export function sqliteError(thrown: unknown, what: string): unknown {
	const code = thrown instanceof Error && 'errcode' in thrown && typeof thrown.errcode === 'number' ? CODES[thrown.errcode & 0xff] : undefined;
	return code === undefined ? thrown : new KeelsonError(code, `${what}: ${(thrown as Error).message}`, {cause: thrown});
}
