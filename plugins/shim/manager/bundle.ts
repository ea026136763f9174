import {chmod, chown, lstat, mkdir, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../../kernel/errors.ts';
import {mountsUnder} from '../../../lib/sys/mount-table.ts';
import {UMOUNT, unmountAll} from '../../../lib/sys/mount.ts';

/** Where the shim of a bundle answers, as `bootstrap.json` has it. */
export interface ShimAddress {
	/** Of the task protocol: 2 or 3. */
	readonly version: number;
	/** `unix:///…` */
	readonly address: string;
	readonly protocol: string;
}

export interface BundlePlace {
	/** Bundles, a directory a namespace: `<state>/<namespace>/<id>`. */
	readonly state: string;
	/** What is kept over a reboot, in the same way. */
	readonly root: string;
}

/** The directory in which a shim finds all that it must know of a container. */
export class Bundle {
	readonly namespace: string;
	readonly id: string;
	readonly path: string;
	readonly #work: string;

	constructor({state, root}: BundlePlace, namespace: string, id: string) {
		this.namespace = namespace;
		this.id = id;
		this.path = path.join(state, namespace, id);
		this.#work = path.join(root, namespace, id);
	}

	/** All bundles of an earlier run of the daemon. */
	static async list(place: BundlePlace): Promise<readonly Bundle[]> {
		const bundles: Bundle[] = [];
		for (const namespace of await namesIn(place.state)) {
			for (const id of await namesIn(path.join(place.state, namespace))) {
				bundles.push(new Bundle(place, namespace, id));
			}
		}
		return bundles;
	}

	/** @param rootGid who may pass through, with a user namespace. Rejects with ALREADY_EXISTS; on failure nothing is left. */
	async create(config: Uint8Array, {rootGid, shimBinary}: {readonly rootGid: number | undefined; readonly shimBinary: string}): Promise<void> {
		await mkdir(path.dirname(this.path), {recursive: true, mode: 0o711});
		await mkdir(path.dirname(this.#work), {recursive: true, mode: 0o711});
		try {
			await mkdir(this.path, {mode: 0o700});
		} catch (error) {
			throw (error as NodeJS.ErrnoException).code === 'EEXIST'
				? new KeelsonError('ALREADY_EXISTS', `bundle ${this.path}: already exists`, {cause: error})
				: error;
		}
		try {
			if (rootGid !== undefined && rootGid !== 0) {
				await chown(this.path, 0, rootGid);
				await chmod(this.path, 0o710);
			}
			const parts = await Promise.allSettled([
				mkdir(path.join(this.path, 'rootfs'), {mode: 0o711}),
				this.#makeWork(),
				writeFile(path.join(this.path, 'config.json'), config, {mode: 0o666}),
				writeFile(path.join(this.path, 'shim-binary-path'), shimBinary, {mode: 0o600}),
			]);
			throwFirst(parts);
		} catch (error) {
			await this.remove();
			throw error;
		}
	}

	/** Where the image lies of which the container is restored, on the disk since it is as large as its memory. */
	get checkpointPath(): string {
		return path.join(this.#work, 'checkpoint');
	}

	/** What was unpacked there is needed no more. */
	async removeCheckpoint(): Promise<void> {
		await rm(this.checkpointPath, {recursive: true, force: true});
	}

	async writeConfig(config: Uint8Array): Promise<void> {
		await writeFile(path.join(this.path, 'config.json'), config);
	}

	/** Kept with the bundle, so that the next daemon finds the shim. */
	async writeAddress(address: ShimAddress): Promise<void> {
		await writeFile(path.join(this.path, 'bootstrap.json'), JSON.stringify(address), {mode: 0o600});
		await writeFile(path.join(this.path, 'address'), address.address, {mode: 0o600});
	}

	/** Undefined when no shim was started for it. */
	async readAddress(): Promise<ShimAddress | undefined> {
		try {
			const {version, address, protocol} = JSON.parse(await readFile(path.join(this.path, 'bootstrap.json'), 'utf8')) as ShimAddress;
			return {version, address, protocol};
		} catch {
			return undefined;
		}
	}

	async readShimBinary(): Promise<string | undefined> {
		return readFile(path.join(this.path, 'shim-binary-path'), 'utf8').catch(() => undefined);
	}

	/** Kept with a container whose shim is that of a sandbox, which outlives it. */
	async writeSandbox(sandboxId: string): Promise<void> {
		await writeFile(path.join(this.path, 'sandbox'), sandboxId, {mode: 0o600});
	}

	async readSandbox(): Promise<string | undefined> {
		return readFile(path.join(this.path, 'sandbox'), 'utf8').catch(() => undefined);
	}

	/** Whether it is still there. */
	async exists(): Promise<boolean> {
		return lstat(this.path).then(() => true, () => false);
	}

	/** Takes away what is in it, and mounts that were left there, but not itself: it still says that there is a task to be undone. */
	async clear(): Promise<void> {
		// Never through a mount: what a container mounted is not ours to remove.
		for (const {mountPoint} of await mountsUnder(this.path)) {
			await unmountAll(mountPoint, UMOUNT.DETACH);
		}
		await rm(this.#work, {recursive: true, force: true});
	}

	/** Takes it away, with mounts that were left in it. Doing it twice is harmless. */
	async remove(): Promise<void> {
		await this.clear();
		// What has been told is noted in it at any time, also while it is emptied.
		await rm(this.path, {recursive: true, force: true, maxRetries: 8, retryDelay: 10});
	}

	async #makeWork(): Promise<void> {
		await symlink(this.#work, path.join(this.path, 'work'));
		try {
			await mkdir(this.#work, {mode: 0o711});
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
				throw error;
			}
			// What an earlier container of that name left there, before a reboot.
			await rm(this.#work, {recursive: true, force: true});
			await mkdir(this.#work, {mode: 0o711});
		}
	}
}

/** Throws the first failure, once all have ended. */
export function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
	for (const result of results) {
		if (result.status === 'rejected') {
			throw result.reason;
		}
	}
}

async function namesIn(directory: string): Promise<readonly string[]> {
	try {
		const entries = await readdir(directory, {withFileTypes: true});
		return entries.filter(entry => entry.isDirectory()).map(({name}) => name);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			return [];
		}
		throw error;
	}
}
