import {KeelsonError} from '../../kernel/errors.ts';

export type Labels = Readonly<Record<string, string>>;

/** A key and its value together have at most this many bytes. */
export const labelBytesMax = 4096;

/** Rejects with INVALID_ARGUMENT where a label is too long. */
export function checkLabels(labels: Labels): void {
	for (const [key, value] of Object.entries(labels)) {
		const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
		if (bytes > labelBytesMax) {
			throw new KeelsonError('INVALID_ARGUMENT', `label ${JSON.stringify(key.slice(0, 64))} and its value have ${bytes} bytes, at most ${labelBytesMax} are allowed`);
		}
	}
}

/**
 * The labels after an update with a field mask: all are replaced when it is empty or has `labels`, else those named
 * `labels.<key>`. A label that becomes empty goes. Rejects with INVALID_ARGUMENT for a field that cannot be updated.
 */
export function updatedLabels(current: Labels, given: Labels, fields: readonly string[]): Labels {
	const valueOf = (key: string): string => Object.hasOwn(given, key) ? given[key] ?? '' : '';
	let merged = new Map(Object.entries(fields.length === 0 ? given : current));
	for (const field of fields) {
		if (field === 'labels') {
			merged = new Map(Object.entries(given));
		} else if (field.startsWith('labels.')) {
			const key = field.slice('labels.'.length);
			merged.set(key, valueOf(key));
		} else {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update field ${JSON.stringify(field)}: expected labels or labels.<key>`);
		}
	}
	return Object.fromEntries([...merged].filter(([, value]) => value !== ''));
}
