import {lstat, mkdir, readdir, readFile, rmdir, unlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {ActiveMount, MountHandler} from '../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {performMount, unmountAll} from '../../lib/sys/mount.ts';

/**
 * The directory of one activation, which alone says what there is to undo, whoever made it and however far they came:
 *
 *     <number>/0          where mount 0 is
 *     <number>/1          where a handler has mounted
 *     <number>/1.type     which one, from before it began
 *     <number>/1.*        its own
 */
export class TargetDirectory {
	readonly path: string;
	readonly #handlers: ReadonlyMap<string, MountHandler>;

	/** `handlers` by type. */
	constructor(directory: string, handlers: ReadonlyMap<string, MountHandler>) {
		this.path = directory;
		this.#handlers = handlers;
	}

	/** Makes the directory itself. */
	async create(): Promise<void> {
		await mkdir(this.path, {mode: 0o700});
	}

	/** Performs a mount of the activation, its `index`-th. After a failure, what there is of it is undone with the rest. */
	async perform(mount: Mount, index: number, signal: AbortSignal): Promise<ActiveMount> {
		const mountPoint = path.join(this.path, String(index));
		const handler = this.#handlers.get(mount.type);
		if (handler !== undefined) {
			await writeFile(`${mountPoint}.type`, mount.type);
			return {mount, mountPoint, data: await handler.mount(mount, mountPoint, signal), mountedAt: new Date()};
		}
		await mkdir(mountPoint, {mode: 0o700});
		await performMount(mount, mountPoint);
		return {mount, mountPoint, data: {}, mountedAt: new Date()};
	}

	/** Whether all of them are mounted where they were. */
	async has(active: readonly ActiveMount[]): Promise<boolean> {
		const mounted = (await mountsUnder(this.path)).map(({mountPoint}) => mountPoint);
		const found = await Promise.all(active.map(async ({mount, mountPoint}) => {
			const handler = this.#handlers.get(mount.type);
			// A mount with a target of its own lies below its mount point.
			return handler === undefined ? mounted.some(one => one === mountPoint || one.startsWith(`${mountPoint}/`)) : handler.isMounted(mountPoint);
		}));
		return !found.includes(false);
	}

	/**
	 * Undoes all there is, the newest first, and then removes the directory; `undone` is told of each that is gone. Rejects with FAILED_PRECONDITION at
	 * the first that is in use. Harmless when there is nothing.
	 */
	async undo(undone: () => void = () => undefined): Promise<void> {
		for (const [index, names] of await this.#entries()) {
			await this.#release(path.join(this.path, String(index)), names);
			await this.#remove(names);
			undone();
		}
		await orGone(rmdir(this.path));
	}

	/** Removes what is left of an earlier run of the machine, whose mounts and devices went with it. Rejects with FAILED_PRECONDITION when something is mounted here. */
	async forget(): Promise<void> {
		for (const [, names] of await this.#entries()) {
			await this.#remove(names);
		}
		await orGone(rmdir(this.path));
	}

	async #release(point: string, names: readonly string[]): Promise<void> {
		if (!names.includes(`${path.basename(point)}.type`)) {
			for (const {mountPoint} of await mountsUnder(point)) {
				await unmountAll(mountPoint);
			}
			return;
		}
		const type = await readFile(`${point}.type`, 'utf8');
		// Empty: the daemon was killed as it wrote it, and the handler has not begun.
		if (type !== '') {
			const handler = this.#handlers.get(type);
			if (handler === undefined) {
				throw new KeelsonError('FAILED_PRECONDITION', `${point} was mounted by the handler of the type ${type}, which is not loaded`);
			}
			await handler.unmount(point);
		}
	}

	// One by one: a tree that turns out to be mounted after all must not be removed with the directory. The type goes last, for whoever must begin again.
	async #remove(names: readonly string[]): Promise<void> {
		for (const name of names.toSorted((a, b) => Number(a.endsWith('.type')) - Number(b.endsWith('.type')))) {
			const file = path.join(this.path, name);
			const status = await orGone(lstat(file));
			if (status !== undefined) {
				await orGone(status.isDirectory() ? rmdir(file) : unlink(file));
			}
		}
	}

	/** The names that belong to each index, the newest first. */
	async #entries(): Promise<readonly (readonly [index: number, names: readonly string[]])[]> {
		const names = await orGone(readdir(this.path)) ?? [];
		const byIndex = Map.groupBy(names.filter(name => /^\d+(?:\.|$)/.test(name)), name => Number.parseInt(name, 10));
		return [...byIndex].toSorted(([a], [b]) => b - a);
	}
}

/** Undefined when it is not there. Rejects with FAILED_PRECONDITION for what cannot be removed. */
async function orGone<T>(work: Promise<T>): Promise<T | undefined> {
	try {
		return await work;
	} catch (error) {
		if (errnoOf(error) === 'ENOENT') {
			return undefined;
		}
		throw KeelsonError.from(error, 'FAILED_PRECONDITION');
	}
}
