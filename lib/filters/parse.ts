import {KeelsonError} from '../../kernel/errors.ts';
import type {Selector} from './selector.ts';
import {unquote} from './unquote.ts';

const SPACE = /\s*/y;
const FIELD = /[A-Za-z0-9_]+/y;
const OPERATOR = /[=!~]+/y;
const QUOTED = /"(?:\\.|[^"\\])*"|\|(?:\\.|[^|\\])*\||\/(?:\\.|[^/\\])*\//sy;
const QUOTED_FIELD = /"(?:\\.|[^"\\])*"/sy;
// What a bare value may not begin with would be read as a separator, an operator or a quote.
const BARE_VALUE = /[^\s,.=!~"|/][^\s,]*/y;

/**
 * The selectors of one filter, all of which must hold:
 *
 *     labels."a.b"==x,name~=|^docker|,target.digest
 *     └field path┘op└value          └ presence
 *
 * Rejects with INVALID_ARGUMENT, saying at which character (counted from 0).
 */
export function parseFilter(text: string): readonly Selector[] {
	const selectors: Selector[] = [];
	let at = 0;

	const take = (pattern: RegExp): string | undefined => {
		pattern.lastIndex = at;
		const found = pattern.exec(text)?.[0];
		at += found?.length ?? 0;
		return found;
	};
	const refuse = (expected: string): KeelsonError => {
		const found = at < text.length ? JSON.stringify(text.slice(at, at + 20)) : 'the end';
		return new KeelsonError('INVALID_ARGUMENT', `filter ${JSON.stringify(text.slice(0, 200))}: expected ${expected} at ${at}, found ${found}`);
	};
	const field = (): string => {
		take(SPACE);
		const start = at;
		const quoted = take(QUOTED_FIELD);
		const name = quoted === undefined ? take(FIELD) : unquote(quoted, start);
		if (name === undefined) {
			throw refuse('a field');
		}
		take(SPACE);
		return name;
	};
	const selector = (): Selector => {
		const path = [field()];
		while (text[at] === '.') {
			at++;
			path.push(field());
		}
		const start = at;
		const operator = take(OPERATOR);
		if (operator === undefined) {
			return {path, operator: 'present'};
		}
		if (operator !== '==' && operator !== '!=' && operator !== '~=') {
			at = start;
			throw refuse('==, != or ~=');
		}
		take(SPACE);
		const position = at;
		const quoted = take(QUOTED);
		const value = quoted === undefined ? take(BARE_VALUE) : unquote(quoted, position);
		if (value === undefined) {
			throw refuse('a value');
		}
		take(SPACE);
		return {path, operator, value, position};
	};

	for (;;) {
		selectors.push(selector());
		if (at === text.length) {
			return selectors;
		}
		if (text[at] !== ',') {
			throw refuse('a comma or the end');
		}
		at++;
	}
}
