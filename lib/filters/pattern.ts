import {KeelsonError} from '../../kernel/errors.ts';
import {PatternError, PatternParser} from './pattern-parser.ts';
import {programOf, type Step} from './pattern-program.ts';
import type {PatternTree} from './pattern-tree.ts';

const PATTERN_CHARACTERS_MAX = 1000;

/**
 * Whether a regular expression, in the syntax of Go's, matches anywhere in a value. All ways through it are followed at once, so the time is at most the
 * pattern's states times the value's length, whatever the pattern: JavaScript's own expressions could be made to run for hours. What is no such
 * expression (lookaround and backreferences are none) matches nothing, as for containerd's clients. Throws INVALID_ARGUMENT for one that is too large.
 */
export function compilePattern(pattern: string, position: number): (value: string) => boolean {
	if (pattern.length > PATTERN_CHARACTERS_MAX) {
		throw new KeelsonError('INVALID_ARGUMENT', `filter: the pattern at ${position} has ${pattern.length} characters, at most ${PATTERN_CHARACTERS_MAX} are allowed`);
	}
	const tree = parsed(pattern);
	if (tree === undefined) {
		return () => false;
	}
	try {
		const program = programOf(tree);
		return value => matches(program, value);
	} catch (error) {
		if (!(error instanceof PatternError)) {
			throw error;
		}
		throw new KeelsonError('INVALID_ARGUMENT', `filter: the pattern ${JSON.stringify(pattern)} at ${position} is too large: ${error.message}`, {cause: error});
	}
}

function parsed(pattern: string): PatternTree | undefined {
	try {
		return new PatternParser(pattern).parse();
	} catch (error) {
		if (!(error instanceof PatternError)) {
			throw error;
		}
		return undefined;
	}
}

function matches(program: readonly Step[], value: string): boolean {
	const start = program.length - 1;
	const codePoints = Array.from(value, character => character.codePointAt(0) ?? -1);
	// The number of the last round in which a state was entered.
	const entered = new Int32Array(program.length).fill(-1);
	let states: number[] = [];
	for (let at = 0; at <= codePoints.length; at++) {
		const before = codePoints[at - 1] ?? -1;
		const after = codePoints[at] ?? -1;
		const waiting = [...states, start];
		const next: number[] = [];
		for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
			const step = program[state];
			if (step === undefined || entered[state] === at) {
				continue;
			}
			entered[state] = at;
			if (step.kind === 'found') {
				return true;
			}
			if (step.kind === 'fork') {
				waiting.push(...step.nexts);
			} else if (step.kind === 'between' && step.holds(before, after)) {
				waiting.push(step.next);
			} else if (step.kind === 'one' && after !== -1 && step.test(after)) {
				next.push(step.next);
			}
		}
		states = next;
	}
	return false;
}
