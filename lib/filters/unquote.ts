import {KeelsonError} from '../../kernel/errors.ts';

const NAMED: Readonly<Record<string, string>> = {a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\'};
const HEX_DIGITS: Readonly<Record<string, number>> = {x: 2, u: 4, U: 8};

/**
 * The text between quotes, with Go's escapes resolved. `quoted` still has its quotes, which are `"`, `|` or `/`. Between `|` or `/`
 * stand regular expressions, so an escape that Go does not know (`\.`, `\d`) is kept as it is; between `"` it is refused.
 */
export function unquote(quoted: string, position: number): string {
	const quote = quoted[0];
	let text = '';
	for (let at = 1; at < quoted.length - 1; at++) {
		const character = quoted.charAt(at);
		if (character !== '\\') {
			text += character;
			continue;
		}
		at++;
		const escape = quoted.charAt(at);
		const digits = HEX_DIGITS[escape];
		if (escape === quote) {
			text += escape;
		} else if (Object.hasOwn(NAMED, escape)) {
			text += NAMED[escape];
		} else if (digits !== undefined) {
			text += codePoint(quoted.slice(at + 1, at + 1 + digits), digits, 16, position + at);
			at += digits;
		} else if (/[0-7]/.test(escape)) {
			text += codePoint(quoted.slice(at, at + 3), 3, 8, position + at);
			at += 2;
		} else if (quote === '"') {
			throw new KeelsonError('INVALID_ARGUMENT', `filter: unknown escape ${JSON.stringify(`\\${escape}`)} at ${position + at - 1}`);
		} else {
			text += `\\${escape}`;
		}
	}
	return text;
}

function codePoint(digits: string, length: number, radix: 8 | 16, position: number): string {
	const allowed = radix === 8 ? /^[0-7]+$/ : /^[0-9A-Fa-f]+$/;
	const value = allowed.test(digits) && digits.length === length ? Number.parseInt(digits, radix) : Number.NaN;
	if (!(value <= 0x10ffff)) {
		throw new KeelsonError('INVALID_ARGUMENT', `filter: ${JSON.stringify(digits)} at ${position} is no character's number in ${length} digits`);
	}
	return String.fromCodePoint(value);
}
