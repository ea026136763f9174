/** Whether a code point is one that is meant. */
export type CharacterTest = (codePoint: number) => boolean;

/** A regular expression, read. Groups leave no trace: only whether it matches is ever asked. */
export type PatternTree =
	| {readonly kind: 'one'; readonly test: CharacterTest}
	/** Holds between two code points; -1 stands for the end of the text. */
	| {readonly kind: 'between'; readonly holds: (before: number, after: number) => boolean}
	| {readonly kind: 'sequence'; readonly parts: readonly PatternTree[]}
	| {readonly kind: 'either'; readonly parts: readonly PatternTree[]}
	/** `max` undefined: without end. */
	| {readonly kind: 'repeat'; readonly part: PatternTree; readonly min: number; readonly max: number | undefined};
