import {KeelsonError} from '../../kernel/errors.ts';

const PATTERN_CHARACTERS_MAX = 1000;

/**
 * A regular expression in the syntax that Go's RE2 and JavaScript share; whether it matches anywhere in a value. Throws
 * INVALID_ARGUMENT for lookaround and backreferences, which RE2 has not.
 */
export function compilePattern(pattern: string, position: number): (value: string) => boolean {
	if (pattern.length > PATTERN_CHARACTERS_MAX) {
		throw new KeelsonError('INVALID_ARGUMENT', `filter: the pattern at ${position} has ${pattern.length} characters, at most ${PATTERN_CHARACTERS_MAX} are allowed`);
	}
	const bare = pattern.replaceAll(/\\[^1-9k]/g, '').replaceAll(/\[\^?\]?[^\]]*\]/g, '');
	if (/\\[1-9k]|\(\?<?[=!]/.test(bare)) {
		throw new KeelsonError('INVALID_ARGUMENT', `filter: the pattern ${JSON.stringify(pattern)} at ${position} looks around or back, which is not supported`);
	}
	try {
		const expression = new RegExp(pattern, 'u');
		return value => expression.test(value);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `filter: the pattern ${JSON.stringify(pattern)} at ${position} is no regular expression`, {cause: error});
	}
}
