import {chmod, lchown, mkdir, open, readdir, rename, stat} from 'node:fs/promises';
import path from 'node:path';
import type {SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import {syncFileSystem} from '../../lib/sys/file-system.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {UMOUNT, unmountAll} from '../../lib/sys/mount.ts';
import {CoalescedSync} from './coalesced-sync.ts';
import {DirectoryThread} from './directory-thread.ts';
import type {Owner} from './id-mapping.ts';

/**
 * The trees on the disk, one directory for each snapshot, named by its number:
 *
 *     <root>/snapshots/7/fs      what it adds to its parent
 *     <root>/snapshots/7/work    overlayfs's own
 *     <root>/snapshots/rm-7      removed, on its way out
 */
export class SnapshotDirectories implements AsyncDisposable {
	readonly #place: string;
	readonly #log: Logger;
	readonly #measuring: DirectoryThread;
	readonly #removing: DirectoryThread;
	readonly #sync: CoalescedSync;
	readonly #resources: AsyncDisposableStack;

	private constructor(place: string, log: Logger, resources: AsyncDisposableStack, fd: number) {
		this.#place = place;
		this.#log = log;
		// Two threads: a commit does not wait for the removal of a big tree.
		this.#measuring = resources.use(new DirectoryThread());
		this.#removing = resources.use(new DirectoryThread());
		this.#sync = new CoalescedSync(async () => {
			const began = performance.now();
			await syncFileSystem(fd);
			// The most that a slow disk adds to a pull.
			log.debug('the file system of snapshots is synced', {milliseconds: Math.round(performance.now() - began)});
		});
		this.#resources = resources;
	}

	/** Makes the directories, 0700, where they are missing. */
	static async open(root: string, log: Logger): Promise<SnapshotDirectories> {
		const place = path.join(root, 'snapshots');
		await mkdir(place, {recursive: true, mode: 0o700});
		await chmod(root, 0o700);
		await chmod(place, 0o700);
		await using half = new AsyncDisposableStack();
		const handle = half.use(await open(place));
		return new SnapshotDirectories(place, log, half.move(), handle.fd);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#resources.disposeAsync();
	}

	upper(id: number): string {
		return path.join(this.#place, String(id), 'fs');
	}

	work(id: number): string {
		return path.join(this.#place, String(id), 'work');
	}

	/** Makes an empty tree whose root has `owner`, or else the owner, and always the mode, of the parent's root. A failure leaves what cleanup takes away. */
	async make(id: number, {kind, parentId, owner}: {readonly kind: 'active' | 'view'; readonly parentId: number | undefined; readonly owner: Owner | undefined}): Promise<void> {
		const upper = this.upper(id);
		await mkdir(path.dirname(upper), {mode: 0o700});
		await mkdir(upper, {mode: 0o755});
		if (kind === 'active') {
			await mkdir(this.work(id), {mode: 0o711});
		}
		const parent = parentId === undefined ? undefined : await stat(this.upper(parentId));
		const rootOwner = owner ?? parent;
		if (rootOwner !== undefined) {
			await lchown(upper, rootOwner.uid, rootOwner.gid);
		}
		// After chown, which takes setgid away; and umask may have narrowed mkdir's mode.
		await chmod(upper, parent === undefined ? 0o755 : parent.mode & 0o7777);
	}

	/** Gives a tree's root what `make` would have given it with this parent. */
	async describeRoot(id: number, parentId: number): Promise<void> {
		const {uid, gid, mode} = await stat(this.upper(parentId));
		await lchown(this.upper(id), uid, gid);
		await chmod(this.upper(id), mode & 0o7777);
	}

	/** What a snapshot's own tree takes now. */
	async measure(id: number, signal?: AbortSignal): Promise<SnapshotUsage> {
		return this.#measuring.measure(this.upper(id), signal);
	}

	/** Everything written before the call is on the disk when it resolves. */
	async sync(): Promise<void> {
		await this.#sync.sync();
	}

	/** Sets a directory aside, at once, so that its number stands for nothing; one that is missing is no error. */
	async setAside(id: number): Promise<void> {
		try {
			await rename(path.join(this.#place, String(id)), path.join(this.#place, `rm-${id}`));
		} catch (error) {
			if (errnoOf(error) !== 'ENOENT') {
				throw error;
			}
		}
	}

	/** The numbers of all directories, those set aside as well. */
	async list(): Promise<readonly {readonly id: number; readonly isAside: boolean}[]> {
		const names = await readdir(this.#place);
		return names.flatMap(name => {
			const [, aside, id] = /^(rm-)?(\d{1,15})$/.exec(name) ?? [];
			return id === undefined ? [] : [{id: Number(id), isAside: aside !== undefined}];
		});
	}

	/** The highest number that a directory has; 0 when there is none. */
	async highestId(): Promise<number> {
		return (await this.list()).reduce((highest, {id}) => Math.max(highest, id), 0);
	}

	/** Removes what was set aside. Never rejects: what is left (a busy mount, a full disk) is logged, and taken by the next cleanup. */
	async discard(id: number): Promise<void> {
		const directory = path.join(this.#place, `rm-${id}`);
		try {
			await this.#removeThoughMounted(directory);
		} catch (error) {
			this.#log.warn('cannot remove the directory of a removed snapshot yet', {path: directory, error});
		}
	}

	async #removeThoughMounted(directory: string): Promise<void> {
		try {
			await this.#removing.remove(directory);
		} catch (error) {
			const mounts = await mountsUnder(directory);
			if (mounts.length === 0) {
				throw KeelsonError.from(error, 'INTERNAL');
			}
			this.#log.warn('mounts are left in the directory of a removed snapshot: detaching them', {path: directory, mounts: mounts.length});
			for (const {mountPoint} of mounts) {
				await unmountAll(mountPoint, UMOUNT.DETACH);
			}
			await this.#removing.remove(directory);
		}
	}
}
