import {mkdtemp, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {command, succeed} from '../test/helpers/command.ts';

/** `ext4`: with a journal, on a loop device whose file lies on a tmpfs. */
export type DiskKind = 'tmpfs' | 'ext4';

/**
 * Runs `work` with the directory of temporary files on a file system that nobody has written to (a kernel's ext4 slows creation down where inodes were deleted
 * a moment ago), and removes it afterwards.
 */
export async function onFreshDisk<T>(kind: DiskKind, work: (disk: string) => Promise<T>): Promise<T> {
	const base = await mkdtemp(path.join(tmpdir(), 'keelson-bench-'));
	await using undo = new AsyncDisposableStack();
	undo.defer(async () => rm(base, {recursive: true, force: true}));
	await succeed('mount', ['-t', 'tmpfs', '-o', 'size=12g,mode=0755', 'tmpfs', base]);
	undo.defer(async () => unmount(base));
	const disk = kind === 'tmpfs' ? base : await makeExt4(base, undo);
	const before = process.env['TMPDIR'];
	process.env['TMPDIR'] = disk;
	undo.defer(() => {
		if (before === undefined) {
			delete process.env['TMPDIR'];
		} else {
			process.env['TMPDIR'] = before;
		}
	});
	return await work(disk);
}

async function makeExt4(base: string, undo: AsyncDisposableStack): Promise<string> {
	const [file, disk] = [path.join(base, 'disk'), path.join(base, 'mounted')];
	await writeFile(file, '');
	await truncate(file, 8 * 2 ** 30);
	await succeed('mkfs.ext4', ['-q', '-F', '-O', 'has_journal', '-E', 'lazy_itable_init=0,lazy_journal_init=0', file]);
	await succeed('mkdir', [disk]);
	await succeed('mount', ['-o', 'loop', file, disk]);
	undo.defer(async () => unmount(disk));
	return disk;
}

async function unmount(directory: string): Promise<void> {
	if ((await command('umount', [directory])).code !== 0) {
		await succeed('umount', ['-l', directory]);
	}
}
