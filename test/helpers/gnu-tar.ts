import {chmodSync, chownSync, closeSync, ftruncateSync, linkSync, lutimesSync, mkdirSync, openSync, readdirSync, symlinkSync, utimesSync, writeFileSync, writeSync} from 'node:fs';
import path from 'node:path';
import {succeed} from './command.ts';

/** Directories of a tree, by what an archive must be able to say to hold them. */
export type TreePart = 'plain' | 'special' | 'split' | 'long' | 'fractions' | 'sparse';

export interface GnuFormat {
	readonly name: string;
	readonly args: readonly string[];
	readonly parts: readonly TreePart[];
}

const everywhere = ['plain', 'special', 'split', 'long'] as const satisfies readonly TreePart[];

/** Every format and every way of sparse files that GNU tar writes, with what fits into it (GNU tar manual, "Controlling the Archive Format", "Storing Sparse Files"). */
export const gnuFormats: readonly GnuFormat[] = [
	{name: 'v7', args: ['--format=v7'], parts: ['plain']},
	{name: 'ustar', args: ['--format=ustar'], parts: ['plain', 'special', 'split']},
	{name: 'oldgnu', args: ['--format=oldgnu'], parts: everywhere},
	{name: 'gnu', args: ['--format=gnu'], parts: everywhere},
	{name: 'pax', args: ['--format=pax'], parts: [...everywhere, 'fractions']},
	{name: 'pax, sparse 0.0', args: ['--format=pax', '--sparse', '--sparse-version=0.0'], parts: [...everywhere, 'fractions', 'sparse']},
	{name: 'pax, sparse 0.1', args: ['--format=pax', '--sparse', '--sparse-version=0.1'], parts: [...everywhere, 'fractions', 'sparse']},
	{name: 'pax, sparse 1.0', args: ['--format=pax', '--sparse', '--sparse-version=1.0'], parts: [...everywhere, 'fractions', 'sparse']},
	{name: 'oldgnu, sparse', args: ['--format=oldgnu', '--sparse'], parts: [...everywhere, 'sparse']},
	{name: 'gnu, sparse', args: ['--format=gnu', '--sparse'], parts: [...everywhere, 'sparse']},
];

/** Writes what lies in a directory. Rejects when GNU tar leaves anything out. */
export async function gnuTar(directory: string, archive: string, args: readonly string[]): Promise<void> {
	await succeed('tar', ['-c', ...args, '--numeric-owner', '--sort=name', '-f', archive, '-C', directory, '.']);
}

/** Makes a tree of these parts. */
export async function makeTree(root: string, parts: readonly TreePart[]): Promise<void> {
	for (const part of parts) {
		const directory = path.join(root, part);
		mkdirSync(directory, {recursive: true});
		await makers[part](directory);
	}
	settle(root, parts.includes('fractions') ? 0.25 : 0);
}

const makers: Readonly<Record<TreePart, (directory: string) => Promise<void> | void>> = {
	plain(at) {
		writeFileSync(`${at}/file`, 'hello\n');
		writeFileSync(`${at}/empty`, '');
		writeFileSync(`${at}/block`, Buffer.alloc(512, 'b'));
		writeFileSync(`${at}/large`, Buffer.alloc(300_001, 'large '));
		writeFileSync(Buffer.from(`${at}/caf\u00e9`, 'latin1'), 'bytes');
		linkSync(`${at}/file`, `${at}/hard`);
		symlinkSync('../plain/file', `${at}/soft`);
		mkdirSync(`${at}/directory/${'d'.repeat(50)}`, {recursive: true});
		chownSync(`${at}/large`, 1234, 4321);
		chmodSync(`${at}/large`, 0o6751);
		chmodSync(`${at}/directory`, 0o1777);
	},
	async special(at) {
		await succeed('mknod', [`${at}/character`, 'c', '1', '3']);
		await succeed('mknod', [`${at}/block`, 'b', '7', '200']);
		await succeed('mkfifo', [`${at}/fifo`]);
	},
	split(at) {
		mkdirSync(`${at}/${'p'.repeat(90)}`);
		writeFileSync(`${at}/${'p'.repeat(90)}/${'q'.repeat(90)}`, 'split');
	},
	long(at) {
		writeFileSync(`${at}/${'n'.repeat(120)}`, 'long');
		mkdirSync(`${at}/${'m'.repeat(255)}`);
		symlinkSync('l'.repeat(130), `${at}/soft`);
		linkSync(`${at}/${'n'.repeat(120)}`, `${at}/hard`);
		writeFileSync(`${at}/owned`, 'far');
		chownSync(`${at}/owned`, 3_000_000, 3_000_001);
	},
	fractions(at) {
		writeFileSync(`${at}/file`, 'times');
	},
	sparse(at) {
		// An old GNU header holds 4 extents, each block after it 21.
		for (const extents of [0, 1, 3, 4, 5, 24, 25, 26, 60]) {
			sparseFile(`${at}/extents-${extents}`, Array.from({length: extents}, (_, index) => 131_072 * (index + 1)), 131_072 * (extents + 2));
		}
		sparseFile(`${at}/begins-with-data`, [0], 1_000_000);
		sparseFile(`${at}/ends-with-data`, [995_904], 1_000_000);
		sparseFile(`${at}/${'s'.repeat(130)}`, [65_536], 500_000);
		writeFileSync(`${at}/dense`, Buffer.alloc(70_000, 'dense'));
		writeFileSync(`${at}/empty`, '');
	},
};

/** With 4096 bytes at each offset, and nothing between. */
export function sparseFile(file: string, offsets: readonly number[], size: number): void {
	const fd = openSync(file, 'w');
	try {
		for (const offset of offsets) {
			writeSync(fd, Buffer.alloc(4096, `data at ${offset} `), 0, 4096, offset);
		}
		ftruncateSync(fd, size);
	} finally {
		closeSync(fd);
	}
}

/** Gives everything a time that its archive can say, what lies deepest first. */
function settle(directory: string, fraction: number): void {
	let seconds = 1_500_000_000;
	const walk = (at: Buffer): void => {
		for (const entry of readdirSync(at, {withFileTypes: true, encoding: 'buffer'})) {
			const name = Buffer.concat([at, Buffer.from('/'), entry.name]);
			if (entry.isDirectory()) {
				walk(name);
			}
			(entry.isSymbolicLink() ? lutimesSync : utimesSync)(name, ++seconds, seconds + fraction);
		}
	};
	walk(Buffer.from(directory));
}
