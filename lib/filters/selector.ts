/** What a selector asks of a field: that it is there, or how its value compares. */
export type Selector =
	| {readonly path: readonly string[]; readonly operator: 'present'}
	| {readonly path: readonly string[]; readonly operator: '==' | '!=' | '~='; readonly value: string; readonly position: number};
