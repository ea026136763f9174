import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/**
 * The labels after an update with a field mask: all are replaced when it is empty or has `labels`, else those named
 * `labels.<key>`. A label that becomes empty goes. Rejects with INVALID_ARGUMENT for a field that cannot be updated.
 */
export function mergeLabels(current: Labels, given: Labels, fields: readonly string[]): Labels {
	const valueOf = (key: string): string => Object.hasOwn(given, key) ? given[key] ?? '' : '';
	let merged = new Map(Object.entries(fields.length === 0 ? given : current));
	for (const field of fields) {
		if (field === 'labels') {
			merged = new Map(Object.entries(given));
		} else if (field.startsWith('labels.')) {
			const key = field.slice('labels.'.length);
			merged.set(key, valueOf(key));
		} else {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update field ${JSON.stringify(field)} of a snapshot, only labels`);
		}
	}
	return Object.fromEntries([...merged].filter(([, value]) => value !== ''));
}
