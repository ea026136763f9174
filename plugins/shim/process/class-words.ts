import {isKeelsonError, KeelsonError, type ErrorCode} from '../../../kernel/errors.ts';

/** What containerd's shims end the messages of a class with. Its daemons since 2.0 pass messages on as they come, and clients look for the words. */
const words: Partial<Record<ErrorCode, string>> = {
	INVALID_ARGUMENT: 'invalid argument', NOT_FOUND: 'not found', ALREADY_EXISTS: 'already exists', FAILED_PRECONDITION: 'failed precondition',
};

type Handler = (...args: readonly never[]) => unknown;

/** The same handlers, whose errors end in the words of their class. */
export function inClassWords<T extends object>(handlers: T): T {
	const wrapped = Object.entries(handlers as Readonly<Record<string, Handler>>).map(([name, handler]) => [name, async (...args: readonly never[]) => {
		try {
			return await handler(...args);
		} catch (error) {
			throw withWords(error);
		}
	}]);
	return Object.fromEntries(wrapped) as T;
}

function withWords(error: unknown): unknown {
	const word = isKeelsonError(error) ? words[error.code] : undefined;
	return isKeelsonError(error) && word !== undefined && !error.message.includes(word)
		? new KeelsonError(error.code, `${error.message}: ${word}`, {cause: error})
		: error;
}
