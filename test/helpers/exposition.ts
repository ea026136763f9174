/** A family as Prometheus's text has it. */
export interface ExposedFamily {
	readonly type: string;
	/** Names of labels, sorted, joined by commas: each set that samples have. */
	readonly labels: ReadonlySet<string>;
	/** By the sample's name and labels as they are written. */
	readonly values: ReadonlyMap<string, number>;
}

/** Reads Prometheus's text format; throws for a line that is none, and for samples outside of their family. */
export function readExposition(text: string): ReadonlyMap<string, ExposedFamily> {
	const families = new Map<string, {type: string; labels: Set<string>; values: Map<string, number>}>();
	let current = '';
	for (const line of text.split('\n').filter(each => each !== '')) {
		const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
		if (kind === 'TYPE') {
			if (families.has(name)) {
				throw new Error(`family ${name} is there twice`);
			}
			families.set(name, {type: rest, labels: new Set(), values: new Map()});
			current = name;
			continue;
		}
		if (kind === 'HELP') {
			continue;
		}
		const [, sample = '', labels = '', value = ''] = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (NaN|[+-]?Inf|[-+\d.e]+)$/.exec(line) ?? [];
		const family = families.get(current);
		if (family === undefined || !sample.startsWith(current)) {
			throw new Error(`line ${JSON.stringify(line)} is of no family, the last was ${current}`);
		}
		family.labels.add([...labels.matchAll(/([a-zA-Z_]\w*)="/g)].map(([, label]) => label ?? '').toSorted().join());
		family.values.set(`${sample}{${labels}}`, Number(value.replace('Inf', 'Infinity')));
	}
	return families;
}
