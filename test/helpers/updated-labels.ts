import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** What the contracts say of updates: all labels without fields or with `labels`, else those named; an empty value removes. */
export function updatedLabels(before: Labels, labels: Labels, fields: readonly string[]): Labels {
	let result: Record<string, string> = {...before};
	for (const field of fields.length === 0 ? ['labels'] : fields) {
		if (field === 'labels') {
			result = {...labels};
		} else if (field.startsWith('labels.')) {
			const key = field.slice('labels.'.length);
			result[key] = labels[key] ?? '';
		} else {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update ${JSON.stringify(field)}: expected labels`);
		}
	}
	return Object.fromEntries(Object.entries(result).filter(([, value]) => value !== ''));
}
