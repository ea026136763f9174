/**
 * Replaces what differs from run to run, in a text or in all texts of a value, so that what two daemons show can be compared:
 * times, directories, namespaces, widths of columns.
 */
export function normalise(value: unknown, replacements: Readonly<Record<string, string>>): unknown {
	if (typeof value === 'string') {
		return normaliseText(value, replacements);
	}

	if (Array.isArray(value)) {
		return value.map(one => normalise(one, replacements));
	}

	if (typeof value === 'object' && value !== null) {
		return Object.fromEntries(Object.entries(value).map(([key, one]) => [normaliseText(key, replacements), normalise(one, replacements)]));
	}

	return value;
}

function normaliseText(text: string, replacements: Readonly<Record<string, string>>): string {
	let result = text;
	for (const [what, by] of Object.entries(replacements)) {
		result = result.replaceAll(what, by);
	}

	return result
		.replaceAll(/\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?: ?(?:Z|[+\-]\d{2}:?\d{2}))?(?: UTC)?(?: m=\S+)?/gv, 'TIME')
		.replaceAll(/[ \t]+/gv, ' ')
		.replaceAll(/ $/gmv, '');
}
