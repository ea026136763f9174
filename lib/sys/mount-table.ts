import {readFile} from 'node:fs/promises';
import {KeelsonError} from '../../kernel/errors.ts';

/** A line of /proc/self/mountinfo; see proc(5). */
export interface MountEntry {
	readonly id: number;
	readonly parentId: number;
	/** `major:minor` */
	readonly device: string;
	/** The path within the file system that is the mount's root. */
	readonly root: string;
	readonly mountPoint: string;
	readonly options: readonly string[];
	/** `shared:1`, `master:2`, ... */
	readonly propagation: readonly string[];
	readonly type: string;
	readonly source: string;
	readonly superOptions: readonly string[];
}

/** Reads the text of mountinfo, oldest mount first. Rejects with INVALID_ARGUMENT for a line that has no ` - `. */
export function parseMountTable(text: string): readonly MountEntry[] {
	return text.split('\n').filter(line => line !== '').map(parseLine);
}

/** The mounts of this mount namespace at `path` and below, the newest first: the order in which they can be taken away. */
export async function mountsUnder(path: string): Promise<readonly MountEntry[]> {
	const prefix = path.endsWith('/') ? path : `${path}/`;
	const text = await readFile('/proc/self/mountinfo', 'utf8');
	// With a thousand containers the table has thousands of lines, and nearly always none of them is asked for.
	const escaped = escape(path.replace(/\/$/, ''));
	const table = parseMountTable(text.split('\n').filter(line => line.includes(escaped)).join('\n'));
	return table.filter(({mountPoint}) => mountPoint === path || mountPoint.startsWith(prefix)).toReversed();
}

// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
// (1)(2)(3)   (4)   (5)      (6)      (7)   (8) (9)   (10)         (11)
function parseLine(line: string): MountEntry {
	const [before, after] = line.split(' - ', 2);
	const [id, parentId, device, root, mountPoint, options, ...propagation] = (before ?? '').split(' ');
	const [type, source, superOptions] = (after ?? '').split(' ');
	if (id === undefined || parentId === undefined || device === undefined || root === undefined || mountPoint === undefined
		|| options === undefined || type === undefined || source === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `line ${JSON.stringify(line)} is not of mountinfo`);
	}
	return {
		id: Number(id),
		parentId: Number(parentId),
		device,
		root: unescape(root),
		mountPoint: unescape(mountPoint),
		options: options.split(','),
		propagation,
		type: unescape(type),
		source: unescape(source),
		superOptions: (superOptions ?? '').split(',').filter(option => option !== '').map(unescape),
	};
}

// In mount points alone: other fields have # escaped too.
function escape(path: string): string {
	return path.replace(/[ \t\n\\]/g, character => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

// The kernel writes space, tab, newline, backslash (and # in some fields) as \ooo.
function unescape(field: string): string {
	return field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
