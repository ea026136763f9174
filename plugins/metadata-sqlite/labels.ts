import {checkLabels, type Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** How labels stand in a row. An empty value is as good as no label, for every store. */
export function encodeLabels(labels: Labels): string {
	checkLabels(labels);
	return JSON.stringify(Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== '')));
}

export function decodeLabels(text: string): Labels {
	return text === '{}' ? {} : JSON.parse(text) as Labels;
}

/** What `labels` become under a mask that names `labels` or `labels.<key>` alone; without fields all are replaced. Rejects with INVALID_ARGUMENT. */
export function updatedLabels(before: Labels, given: Labels, fields: readonly string[]): Labels {
	let labels = before;
	for (const field of fields.length === 0 ? ['labels'] : fields) {
		const changed = updatedMap('labels', labels, given, field);
		if (changed === undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update field ${JSON.stringify(field)}: expected labels or labels.<key>`);
		}
		labels = changed;
	}
	return labels;
}

/** A map after one field of a mask: all of it for `<name>`, one key for `<name>.<key>`; undefined when the field is another one. */
export function updatedMap<V>(
	name: string, before: Readonly<Record<string, V>>, given: Readonly<Record<string, V>>, field: string,
): Readonly<Record<string, V>> | undefined {
	if (field === name) {
		return given;
	}
	if (!field.startsWith(`${name}.`)) {
		return undefined;
	}
	const key = field.slice(name.length + 1);
	const {[key]: _old, ...others} = before;
	const value = Object.hasOwn(given, key) ? given[key] : undefined;
	return value === undefined ? others : {...others, [key]: value};
}
