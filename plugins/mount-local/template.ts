import type {ActiveMount} from '../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Fills in, in source, target and options, what active mounts became. Pure. Throws INVALID_ARGUMENT for a template that is none, or names no active mount. */
export function fillIn(mount: Mount, active: readonly ActiveMount[]): Mount {
	const fill = (text: string): string => fillText(text, active);
	return {...mount, source: fill(mount.source), target: fill(mount.target), options: mount.options.map(option => fill(option))};
}

// Of Go's templates, which containerd's clients write, the calls alone: {{ mount 0 }}, {{ overlay 0 2 }}.
const call = /^\s*(?<word>[a-z]+)\s+(?<first>\d{1,3})(?:\s+(?<second>\d{1,3}))?\s*$/;

function fillText(text: string, active: readonly ActiveMount[]): string {
	let filled = '';
	for (let at = 0; ;) {
		const open = text.indexOf('{{', at);
		if (open === -1) {
			return filled + text.slice(at);
		}
		const close = text.indexOf('}}', open);
		if (close === -1) {
			throw new KeelsonError('INVALID_ARGUMENT', `template ${JSON.stringify(text)}: {{ at ${open} has no }}`);
		}
		filled += text.slice(at, open) + evaluate(text.slice(open + 2, close), active);
		at = close + 2;
	}
}

function evaluate(expression: string, active: readonly ActiveMount[]): string {
	const {word, first, second} = call.exec(expression)?.groups ?? {};
	const mountAt = (index: number): ActiveMount => {
		const found = active[index];
		if (found === undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `template {{${expression}}}: there is no active mount ${index}, there are ${active.length} before this one`);
		}
		return found;
	};
	if (word === 'overlay' && second !== undefined) {
		const [from, to] = [Number(first), Number(second)];
		const step = from <= to ? 1 : -1;
		return Array.from({length: Math.abs(to - from) + 1}, (_, offset) => mountAt(from + offset * step).mountPoint).join(':');
	}
	if (second === undefined && (word === 'mount' || word === 'source' || word === 'target')) {
		const {mount, mountPoint} = mountAt(Number(first));
		return word === 'mount' ? mountPoint : mount[word];
	}
	throw new KeelsonError('INVALID_ARGUMENT', `template {{${expression}}}: expected source, target or mount and an index, or overlay and two`);
}
