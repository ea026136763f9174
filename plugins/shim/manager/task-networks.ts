import type {Network, NetworkNamespaces, NetworkRequest} from '../../../contracts/network/network.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';

/** How long a network plugin may take to let go, whatever became of the request. */
const detachMs = 30_000;

/** The network of a task: a pinned namespace, and everybody who populates it. */
export class TaskNetworks {
	readonly #namespaces: NetworkNamespaces;
	readonly #networks: ReadonlyMap<string, Network>;
	readonly #log: Logger;

	constructor(namespaces: NetworkNamespaces, networks: ReadonlyMap<string, Network>, log: Logger) {
		this.#namespaces = namespaces;
		this.#networks = new Map([...networks].toSorted(([a], [b]) => a < b ? -1 : 1));
		this.#log = log;
	}

	/** Makes the namespace and has it populated; after a failure nothing is left of either. */
	async attach(facts: Omit<NetworkRequest, 'path' | 'signal'>, signal: AbortSignal): Promise<Omit<NetworkRequest, 'signal'>> {
		const {namespace, containerId} = facts;
		const {path} = await this.#namespaces.create(namespace, containerId, signal);
		const request = {...facts, path};
		for (const [name, network] of this.#networks) {
			try {
				await network.attach({...request, signal});
			} catch (error) {
				await this.detach(request);
				throw new KeelsonError(KeelsonError.from(error).code, `failed to attach network ${name}: ${KeelsonError.from(error).message}`, {cause: error});
			}
		}
		return request;
	}

	/** Undoes `attach`, whole or half done. What a plugin fails to undo does not keep the rest. */
	async detach(request: Omit<NetworkRequest, 'signal'>): Promise<void> {
		for (const [name, network] of [...this.#networks].toReversed()) {
			try {
				await network.detach({...request, signal: AbortSignal.timeout(detachMs)});
			} catch (error) {
				this.#log.warn('network could not be detached', {network: name, namespace: request.namespace, container: request.containerId, error});
			}
		}
		await this.#namespaces.remove(request.namespace, request.containerId);
	}

	/** What tasks of an earlier daemon have, as far as it can be told by what is pinned: a question for one of them. */
	async found(): Promise<(namespace: string, containerId: string) => Omit<NetworkRequest, 'signal'> | undefined> {
		const pins = new Map((await this.#namespaces.list()).map(pinned => [`${pinned.namespace}/${pinned.containerId}`, pinned]));
		return (namespace, containerId) => {
			const pinned = pins.get(`${namespace}/${containerId}`);
			return pinned === undefined ? undefined : {...pinned, labels: {}, annotations: {}};
		};
	}
}
