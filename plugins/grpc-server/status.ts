import {statusCodes} from '../../api/convert/status-code.ts';
import {isKeelsonError, KeelsonError, type ErrorCode} from '../../kernel/errors.ts';

/** The words that containerd's own messages of a class end with, and that some clients look for. */
const WORDS: Partial<Record<ErrorCode, string>> = {
	INVALID_ARGUMENT: 'invalid argument',
	NOT_FOUND: 'not found',
	ALREADY_EXISTS: 'already exists',
	FAILED_PRECONDITION: 'failed precondition',
	UNAVAILABLE: 'unavailable',
	UNIMPLEMENTED: 'not implemented',
	OUT_OF_RANGE: 'out of range',
};

/** A header holds it, percent-encoded: three times as much at worst. */
const DETAILS_MAX_CHARACTERS = 4096;

/** What a call ends with. */
export interface Status {
	readonly code: number;
	readonly details: string;
}

/** What a client is told of anything thrown; never throws. */
export function statusOf(thrown: unknown): Status {
	const {code, message} = KeelsonError.from(thrown);
	const word = WORDS[code];
	const whole = word === undefined || message.includes(word) ? message : message === '' ? word : `${message}: ${word}`;
	return {code: statusCodes[code], details: whole.slice(0, DETAILS_MAX_CHARACTERS).toWellFormed()};
}

/** Nobody foresaw it, so it is worth a stack in the log. */
export function isUnforeseen(thrown: unknown): boolean {
	return isKeelsonError(thrown) ? thrown.code === 'INTERNAL' : !['CANCELLED', 'DEADLINE_EXCEEDED'].includes(KeelsonError.from(thrown).code);
}
