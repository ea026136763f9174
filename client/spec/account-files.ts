import {constants} from 'node:fs';
import {mkdtemp, open, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {runProgram} from '../run-program.ts';
import {resolveInRoot} from './resolve-in-root.ts';
import type {Accounts} from './user.ts';

// An image may say anything: /etc/group has been used to exhaust its reader's memory (CVE-2026-47262).
const FILE_BYTES_MAX = 1024 * 1024;
// A page, less what is added.
const OPTION_BYTES = 3500;

/**
 * Reads the account files of a tree that these mounts make, in a private directory that is gone afterwards. Needs root. Rejects with
 * RESOURCE_EXHAUSTED where a file has more than 1 MiB, INVALID_ARGUMENT where it is no file.
 */
export async function readAccountFiles(mounts: readonly Mount[], signal?: AbortSignal): Promise<Accounts> {
	await using undo = new AsyncDisposableStack();
	const root = await mkdtemp(join(tmpdir(), 'keelson-accounts-'));
	undo.defer(() => rmdir(root));
	for (const mount of mounts) {
		await mountReadOnly(mount, join(root, mount.target), signal);
		undo.defer(async () => {
			await runProgram('umount', [join(root, mount.target)]);
		});
	}
	return {passwd: await readInRoot(root, 'etc/passwd'), group: await readInRoot(root, 'etc/group')};
}

async function mountReadOnly({type, source, options}: Mount, target: string, signal?: AbortSignal): Promise<void> {
	const kept = options.filter(option => option !== 'rw' && option !== 'ro' && option !== 'bind' && option !== 'rbind');
	const isBind = type === 'bind' || options.includes('bind') || options.includes('rbind');
	const {cwd, options: short} = shortened(kept);
	const words = [...isBind ? ['bind'] : [], 'ro', 'nosuid', 'nodev', 'noexec', ...short].join(',');
	await runProgram('mount', ['-i', ...isBind ? [] : ['-t', type], '-o', words, '--source', source, '--target', target], {signal, cwd});
}

/** mount(2) takes options of one page: the layers of an image of many are named from a folder that all are in. */
export function shortened(options: readonly string[]): {readonly cwd: string; readonly options: readonly string[]} {
	const lower = options.find(option => option.startsWith('lowerdir='));
	const directories = lower?.slice('lowerdir='.length).split(':') ?? [];
	if (options.join(',').length < OPTION_BYTES || directories.some(directory => !directory.startsWith('/'))) {
		return {cwd: '/', options};
	}
	const [first = '', ...others] = directories;
	let cwd = first;
	while (!others.every(directory => directory.startsWith(`${cwd}/`)) || cwd === first) {
		cwd = dirname(cwd);
		if (cwd === '/') {
			return {cwd, options};
		}
	}
	const relative = directories.map(directory => directory.slice(cwd.length + 1)).join(':');
	return {cwd, options: options.map(option => option === lower ? `lowerdir=${relative}` : option)};
}

/** Empty where there is no such file. */
async function readInRoot(root: string, path: string): Promise<string> {
	const found = await resolveInRoot(root, path);
	if (found === undefined) {
		return '';
	}
	// Not blocking: a FIFO under this name would hold us for ever.
	await using file = await open(found, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	if (!(await file.stat()).isFile()) {
		throw new KeelsonError('INVALID_ARGUMENT', `/${path} of the image is no file`);
	}
	const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
	let size = 0;
	for (;;) {
		const {bytesRead} = await file.read(buffer, size, buffer.length - size);
		size += bytesRead;
		if (bytesRead === 0 || size === buffer.length) {
			break;
		}
	}
	if (size > FILE_BYTES_MAX) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `/${path} of the image is larger than ${FILE_BYTES_MAX} bytes`);
	}
	return buffer.toString('utf8', 0, size);
}
