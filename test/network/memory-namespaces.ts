import path from 'node:path';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {NetworkNamespaces, PinnedNamespace} from '../../contracts/network/network.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Names alone, with no kernel behind them; `pins` is what outlives an instance. */
export class MemoryNamespaces implements NetworkNamespaces {
	readonly #directory: string;
	readonly #pins: Map<string, PinnedNamespace>;

	constructor(directory: string, pins: Map<string, PinnedNamespace>) {
		this.#directory = directory;
		this.#pins = pins;
	}

	async create(namespace: string, containerId: string, signal?: AbortSignal): Promise<PinnedNamespace> {
		signal?.throwIfAborted();
		const pinned = {namespace, containerId, path: path.join(this.#directory, `${parseIdentifier(namespace, 'namespace')}-${parseIdentifier(containerId, 'container id')}`)};
		if (this.#pins.has(pinned.path)) {
			throw new KeelsonError('ALREADY_EXISTS', `network namespace ${pinned.path}: already exists`);
		}
		this.#pins.set(pinned.path, pinned);
		return pinned;
	}

	async remove(namespace: string, containerId: string): Promise<void> {
		const [key] = [...this.#pins].find(([, one]) => one.namespace === namespace && one.containerId === containerId) ?? [];
		if (key !== undefined) {
			this.#pins.delete(key);
		}
	}

	async list(): Promise<readonly PinnedNamespace[]> {
		return [...this.#pins.values()];
	}
}
