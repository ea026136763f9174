import {mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {NetworkNamespaces, PinnedNamespace} from '../../contracts/network/network.ts';
import {bringLoopbackUp} from '../../lib/sys/loopback.ts';
import {createNetworkNamespace, isNetworkNamespace, removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';

/**
 * Names of namespaces and ids may have dashes themselves, so `a-b-c` says not whose it is. Beside the pins, which programs look through,
 * lies a directory with an empty file for each: `.owners/<namespace>:<id>`; a colon is in neither.
 */
const ownersName = '.owners';

/** Network namespaces pinned as files of one directory, named `<namespace>-<id>`, as `ip netns` and CNI take them. */
export class PinnedNamespaces implements NetworkNamespaces {
	readonly #directory: string;

	private constructor(directory: string) {
		this.#directory = directory;
	}

	/** @param directory made with mode 0711 when it is not there */
	static async open(directory: string): Promise<PinnedNamespaces> {
		await mkdir(path.join(directory, ownersName), {recursive: true, mode: 0o711});
		return new PinnedNamespaces(directory);
	}

	async create(namespace: string, containerId: string, signal?: AbortSignal): Promise<PinnedNamespace> {
		const pinned = this.#name(namespace, containerId);
		signal?.throwIfAborted();
		// Another owner's pin may have the same name: `a-b` of `c` and `a` of `b-c`.
		await createNetworkNamespace(pinned.path);
		try {
			bringLoopbackUp(pinned.path);
			await writeFile(this.#owner(pinned), '', {mode: 0o600});
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
		// After a reboot in which the directory was kept, files are there and pins are not.
		return (await this.#owners()).filter(({path: pin}) => isNetworkNamespace(pin));
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
