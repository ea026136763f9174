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
