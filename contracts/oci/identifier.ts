import {KeelsonError} from '../../kernel/errors.ts';

const PATTERN = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;
const MAX_LENGTH = 76;

/**
 * Holds for namespaces, containers, sandboxes and execs: such a name is safe as one part of a path, and is at most 76 characters.
 * Rejects with INVALID_ARGUMENT, naming `what`.
 */
export function parseIdentifier(text: string, what: string): string {
	if (text === '') {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} must not be empty`);
	}
	if (text.length > MAX_LENGTH) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} ${JSON.stringify(text.slice(0, MAX_LENGTH))}… has ${text.length} characters, at most ${MAX_LENGTH} are allowed`);
	}
	if (!PATTERN.test(text)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} ${JSON.stringify(text)} must match ${PATTERN.source}`);
	}
	return text;
}
