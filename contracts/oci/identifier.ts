import {KeelsonError} from '../../kernel/errors.ts';

const PATTERN = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;
const MAX_LENGTH = 76;

/**
 * Holds for namespaces, containers, sandboxes and execs: such a name is safe as one part of a path, and is at most 76 characters.
 * Rejects with INVALID_ARGUMENT.
 */
export function parseIdentifier(text: string, what: string): string {
	if (text === '') {
		throw new KeelsonError('INVALID_ARGUMENT', `${what}: identifier must not be empty`);
	}
	// Clients' tests know containerd's two sentences by heart.
	if (text.length > MAX_LENGTH) {
		throw new KeelsonError('INVALID_ARGUMENT', `identifier ${JSON.stringify(text.slice(0, 200))} greater than maximum length (${MAX_LENGTH} characters)`);
	}
	if (!PATTERN.test(text)) {
		throw new KeelsonError('INVALID_ARGUMENT', `identifier ${JSON.stringify(text)} must match ${PATTERN.source}`);
	}
	return text;
}
