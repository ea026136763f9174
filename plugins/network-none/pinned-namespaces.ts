import {closeSync} from 'node:fs';
import {mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {NetworkNamespaces, PinnedNamespace} from '../../contracts/network/network.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {bringLoopbackUp} from '../../lib/sys/loopback.ts';
import {createNetworkNamespace, isNetworkNamespace, pinNetworkNamespace, removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';
import {SpareNamespace} from './spare-namespace.ts';

/**
 * Names of namespaces and ids may have dashes themselves, so `a-b-c` says not whose it is. Beside the pins, which programs look through,
 * lies a directory with an empty file for each: `.owners/<namespace>:<id>`; a colon is in neither.
 */
const ownersName = '.owners';
const sparesName = '.spares';

/** Network namespaces pinned as files of one directory, named `<namespace>-<id>`, as `ip netns` and CNI take them. */
export class PinnedNamespaces implements NetworkNamespaces, AsyncDisposable {
	readonly #directory: string;
	readonly #spare: SpareNamespace;

	private constructor(directory: string, spare: SpareNamespace) {
		this.#directory = directory;
		this.#spare = spare;
	}

	/**
	 * @param directory made with mode 0711 when it is not there
	 * @param spareMs how long a namespace that was made ahead is kept; 0 for none. `failed` is told why one could not be made
	 */
	static async open(directory: string, {spareMs = 0, failed = () => undefined}: {readonly spareMs?: number; readonly failed?: (error: unknown) => void} = {}): Promise<PinnedNamespaces> {
		const spares = path.join(directory, sparesName);
		await mkdir(path.join(directory, ownersName), {recursive: true, mode: 0o711});
		await mkdir(spares, {recursive: true, mode: 0o700});
		// What a daemon left that was killed while it made one.
		await Promise.all((await readdir(spares)).map(async name => removeNetworkNamespace(path.join(spares, name))));
		const namespaces = new PinnedNamespaces(directory, new SpareNamespace({directory: spares, keepMs: spareMs, failed}));
		await namespaces.#removeHalfMade();
		return namespaces;
	}

	async create(namespace: string, containerId: string, signal?: AbortSignal): Promise<PinnedNamespace> {
		const pinned = this.#name(namespace, containerId);
		signal?.throwIfAborted();
		// Before the pin: whoever finds one must find whose it is, also when this process is killed between the two.
		await this.#own(pinned);
		try {
			await this.#pin(pinned.path);
			this.#spare.refill();
			signal?.throwIfAborted();
		} catch (error) {
			await this.remove(namespace, containerId);
			throw error;
		}
		return pinned;
	}

	async remove(namespace: string, containerId: string): Promise<void> {
		const pinned = this.#name(namespace, containerId);
		const owners = await this.#owners();
		const isAnothers = owners.some(one => one.path === pinned.path && (one.namespace !== namespace || one.containerId !== containerId));
		if (!isAnothers) {
			await removeNetworkNamespace(pinned.path);
		}
		await rm(this.#owner(pinned), {force: true});
	}

	async list(): Promise<readonly PinnedNamespace[]> {
		return (await this.#owners()).filter(({path: pin}) => isNetworkNamespace(pin));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#spare[Symbol.asyncDispose]();
	}

	/** A daemon may have been killed while it made or removed a pin, and after a reboot in which the directory was kept none holds. */
	async #removeHalfMade(): Promise<void> {
		for (const pinned of await this.#owners()) {
			if (!isNetworkNamespace(pinned.path)) {
				await removeNetworkNamespace(pinned.path);
				await rm(this.#owner(pinned), {force: true});
			}
		}
	}

	async #own(pinned: PinnedNamespace): Promise<void> {
		const another = (await this.#owners()).find(one => one.path === pinned.path);
		// It may be another's of the same name: `a-b` of `c` and `a` of `b-c`.
		if (another !== undefined) {
			throw new KeelsonError('ALREADY_EXISTS', `network namespace ${pinned.path} exists: it is that of container ${another.containerId} in namespace ${another.namespace}`);
		}
		await writeFile(this.#owner(pinned), '', {mode: 0o600, flag: 'wx'});
	}

	async #pin(pin: string): Promise<void> {
		const spare = this.#spare.take();
		if (spare !== undefined) {
			try {
				await pinNetworkNamespace(spare, pin);
			} finally {
				closeSync(spare);
			}
			return;
		}
		await createNetworkNamespace(pin);
		try {
			bringLoopbackUp(pin);
		} catch (error) {
			await removeNetworkNamespace(pin);
			throw error;
		}
	}

	async #owners(): Promise<readonly PinnedNamespace[]> {
		const names = await readdir(path.join(this.#directory, ownersName));
		return names.map(name => {
			const [namespace = '', containerId = ''] = name.split(':');
			return this.#name(namespace, containerId);
		});
	}

	#name(namespace: string, containerId: string): PinnedNamespace {
		const name = `${parseIdentifier(namespace, 'namespace')}-${parseIdentifier(containerId, 'container id')}`;
		return {namespace, containerId, path: path.join(this.#directory, name)};
	}

	#owner({namespace, containerId}: PinnedNamespace): string {
		return path.join(this.#directory, ownersName, `${namespace}:${containerId}`);
	}
}
