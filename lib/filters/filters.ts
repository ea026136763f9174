/**
 * Filters as containerd's clients write them: a list whose entries are OR-ed, each entry selectors joined by commas that are AND-ed.
 *
 *     selector  = path | path ("==" | "!=" | "~=") value
 *     path      = field *("." field)       field = word | "quoted"
 *     value     = bare | "quoted" | |quoted| | /quoted/
 */

import {KeelsonError} from '../../kernel/errors.ts';
import {parseFilter} from './parse.ts';
import {compilePattern} from './pattern.ts';
import type {Selector} from './selector.ts';

/** Answers a field of what is being judged, undefined where there is none. Below `labels` and `annotations` the path is one key: `['labels', 'a.b']`. */
export type FieldOf = (path: readonly string[]) => string | undefined;

const FILTERS_MAX = 1000;
const FILTER_CHARACTERS_MAX = 64 * 1024;

/** Decides whether any filter holds; none, or an empty one, holds always. A pattern that is no regular expression matches nothing. Throws INVALID_ARGUMENT, with the position, for a filter that does not parse. */
export function compileFilters(filters: readonly string[]): (field: FieldOf) => boolean {
	if (filters.length > FILTERS_MAX) {
		throw new KeelsonError('INVALID_ARGUMENT', `${filters.length} filters, at most ${FILTERS_MAX} are allowed`);
	}
	const judges = filters.map(filter => compileFilter(filter));
	return judges.length === 0 ? () => true : field => judges.some(judge => judge(field));
}

function compileFilter(filter: string): (field: FieldOf) => boolean {
	if (filter.length > FILTER_CHARACTERS_MAX) {
		throw new KeelsonError('INVALID_ARGUMENT', `a filter has ${filter.length} characters, at most ${FILTER_CHARACTERS_MAX} are allowed`);
	}
	if (filter === '') {
		return () => true;
	}
	const judges = parseFilter(filter).map(selector => compileSelector(selector));
	return field => judges.every(judge => judge(field));
}

function compileSelector(selector: Selector): (field: FieldOf) => boolean {
	const path = joinKeys(selector.path);
	switch (selector.operator) {
		case 'present': {
			return field => field(path) !== undefined;
		}
		case '==': {
			return field => field(path) === selector.value;
		}
		case '!=': {
			// What is absent differs from everything but the empty text, as in containerd.
			return field => (field(path) ?? '') !== selector.value;
		}
		case '~=': {
			const matches = compilePattern(selector.value, selector.position);
			// What is absent reads as the empty text here too.
			return field => matches(field(path) ?? '');
		}
	}
}

function joinKeys(path: readonly string[]): readonly string[] {
	const map = path.findIndex(field => field === 'labels' || field === 'annotations');
	return map === -1 || map === path.length - 1 ? path : [...path.slice(0, map + 1), path.slice(map + 1).join('.')];
}
