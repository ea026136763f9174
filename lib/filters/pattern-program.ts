import {PatternError} from './pattern-parser.ts';
import type {CharacterTest, PatternTree} from './pattern-tree.ts';

/** A state of the machine, and where it leads. */
export type Step =
	| {readonly kind: 'one'; readonly test: CharacterTest; readonly next: number}
	| {readonly kind: 'between'; readonly holds: (before: number, after: number) => boolean; readonly next: number}
	| {readonly kind: 'fork'; readonly nexts: readonly number[]}
	| {readonly kind: 'found'};

/** Together with a value's length it bounds the time that matching takes. */
const STEPS_MAX = 4000;

/** Thompson's construction, from the end to the beginning. The first state is the last step. Throws PatternError for what would be too large. */
export function programOf(tree: PatternTree): readonly Step[] {
	const steps: Step[] = [{kind: 'found'}];

	const add = (step: Step): number => {
		if (steps.length === STEPS_MAX) {
			throw new PatternError(`it has more than ${STEPS_MAX} states`);
		}
		return steps.push(step) - 1;
	};
	const loop = (part: PatternTree, next: number): number => {
		const nexts = [next];
		const fork = add({kind: 'fork', nexts});
		nexts.push(lay(part, fork));
		return fork;
	};
	const lay = (part: PatternTree, next: number): number => {
		switch (part.kind) {
			case 'one':
			case 'between': {
				return add({...part, next});
			}
			case 'sequence': {
				return part.parts.reduceRight((after, each) => lay(each, after), next);
			}
			case 'either': {
				return add({kind: 'fork', nexts: part.parts.map(each => lay(each, next))});
			}
			case 'repeat': {
				const {part: repeated, min, max} = part;
				let at = max === undefined ? loop(repeated, next) : next;
				for (let optional = min; optional < (max ?? 0); optional++) {
					at = add({kind: 'fork', nexts: [next, lay(repeated, at)]});
				}
				for (let needed = 0; needed < min; needed++) {
					at = lay(repeated, at);
				}
				return at;
			}
		}
	};

	const start = lay(tree, 0);
	add({kind: 'fork', nexts: [start]});
	return steps;
}
