import {constants} from 'node:fs';
import {open, readFile, readlink, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../../kernel/errors.ts';

/**
 * A FIFO or file of the host that a process holds as a standard stream. CRIU finds it in no mount of the container: it must be told that
 * the file is not its to save (`external`), and, at restore, which descriptor stands in its place (`inherit-fd`); criu(8), EXTERNAL
 * RESOURCES. Both are said in a configuration file, which runtimes have no flags for and CRIU takes from its environment.
 */
interface HeldFile {
	readonly fd: number;
	/** As CRIU names it: mount and inode, in hexadecimal. */
	readonly key: string;
}

/** Beside CRIU's own files: what `restoreConfig` must know. */
const imageFile = 'keelson-stdio.json';
const imageFileBytesMax = 4096;

/** Standard streams that lie outside of the process's own mounts. Pipes and terminals are the runtime's affair. */
export async function heldFilesOf(pid: number): Promise<readonly HeldFile[]> {
	const mounts = new Set((await readFile(`/proc/${pid}/mountinfo`, 'utf8')).split('\n').map(line => line.split(' ', 1)[0]));
	const found = await Promise.all([0, 1, 2].map(async fd => {
		const at = `/proc/${pid}/fd/${fd}`;
		const target = await readlink(at).catch(() => '');
		if (!target.startsWith('/')) {
			return undefined;
		}
		const [{ino}, info] = await Promise.all([stat(at, {bigint: true}), readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8')]);
		const mount = /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];
		return mount === undefined || mounts.has(mount) ? undefined : {fd, key: `file[${Number(mount).toString(16)}:${ino.toString(16)}]`};
	}));
	return found.filter(one => one !== undefined);
}

/** Writes what CRIU is to be told at a checkpoint; resolves to the file, or undefined where there is nothing to tell. */
export async function dumpConfig(bundle: string, held: readonly HeldFile[]): Promise<string | undefined> {
	return writeConfig(path.join(bundle, 'criu-dump.conf'), [...new Set(held.map(({key}) => `external ${key}`))]);
}

/** Keeps with the image what a restore must know. */
export async function recordHeldFiles(imagePath: string, held: readonly HeldFile[]): Promise<void> {
	if (held.length > 0) {
		await writeFile(path.join(imagePath, imageFile), JSON.stringify(held), {mode: 0o600});
	}
}

/** Writes what CRIU is to be told at a restore of an image, whose bytes are nobody's promise. Rejects with INVALID_ARGUMENT when they are not what we wrote. */
export async function restoreConfig(bundle: string, imagePath: string): Promise<string | undefined> {
	const held = await readHeldFiles(path.join(imagePath, imageFile));
	const byKey = new Map(held.map(({fd, key}) => [key, fd]));
	// The next client's FIFO need not have the permissions of the last one's.
	const rest = held.length > 0 ? ['skip-file-rwx-check'] : [];
	return writeConfig(path.join(bundle, 'criu-restore.conf'), [...[...byKey].map(([key, fd]) => `inherit-fd fd[${fd}]:${key}`), ...rest]);
}

async function readHeldFiles(file: string): Promise<readonly HeldFile[]> {
	try {
		await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
		const {buffer, bytesRead} = await handle.read(Buffer.alloc(imageFileBytesMax + 1), 0, imageFileBytesMax + 1, 0);
		const value: unknown = JSON.parse(buffer.subarray(0, bytesRead).toString());
		if (Array.isArray(value) && value.every(isHeldFile)) {
			return value;
		}
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			return [];
		}
		throw new KeelsonError('INVALID_ARGUMENT', `checkpoint: ${imageFile} cannot be read`, {cause: error});
	}
	throw new KeelsonError('INVALID_ARGUMENT', `checkpoint: ${imageFile} names no files of standard streams`);
}

function isHeldFile(value: unknown): value is HeldFile {
	const {fd, key} = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof HeldFile, unknown>>;
	return (fd === 0 || fd === 1 || fd === 2) && typeof key === 'string' && /^file\[[0-9a-f]{1,8}:[0-9a-f]{1,16}\]$/.test(key);
}

async function writeConfig(file: string, lines: readonly string[]): Promise<string | undefined> {
	if (lines.length === 0) {
		return undefined;
	}
	await writeFile(file, lines.map(line => `${line}\n`).join(''), {mode: 0o600});
	return file;
}
