import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

/** Tells whoever unpacks which layers have arrived, and whether the config has. */
export class LayerArrivals {
	readonly #arrivals: ReadonlyMap<Digest, PromiseWithResolvers<void>>;

	constructor(layers: readonly Descriptor[]) {
		this.#arrivals = new Map(layers.map(({digest}) => [digest, Promise.withResolvers<void>()]));
		for (const {promise} of this.#arrivals.values()) {
			promise.catch(() => undefined);
		}
	}

	arrived({digest}: Descriptor): void {
		this.#arrivals.get(digest)?.resolve();
	}

	/** It will not come; whoever waits for it is told why. */
	missing({digest}: Descriptor, error: Error): void {
		this.#arrivals.get(digest)?.reject(error);
	}

	async wait({digest}: Descriptor, signal: AbortSignal): Promise<void> {
		const arrival = this.#arrivals.get(digest);
		if (arrival !== undefined) {
			await untilAborted(arrival.promise, signal);
		}
	}
}
