/**
 * What others keep and Metadata collects along with its own rows: they list it, Metadata decides, they take it away.
 *
 *     list ─► (what the roots reach is marked) ─► condemn, for each that was not reached ─► sweep
 *
 * A lease or a back reference (`containerd.io/gc.bref.container`, ...) among the labels keeps an item while what it names is there; whatever is
 * labelled `containerd.io/gc.ref.<kind>` with the item's id keeps it too; `containerd.io/gc.root` and `containerd.io/gc.expire` make it a root.
 */

import type {Labels} from '../oci/labels.ts';

/** One that no request is about to make or to take away. */
export interface CollectibleItem {
	readonly namespace: string;
	/** Of its kind, in its namespace. */
	readonly id: string;
	readonly labels: Labels;
	/** Keeps it as long as there is such a lease. */
	readonly lease: string | undefined;
	/**
	 * Nobody is given it from now on. Synchronous: whoever asks for it by name comes before the decision, and so may keep it, or after the deed.
	 * Harmless for one that is gone, or another by the same name.
	 */
	condemn(): void;
}

export interface CollectibleResource {
	readonly kind: 'mount' | 'stream';
	/** All there is at this moment. */
	list(): readonly CollectibleItem[];
	/** Takes away what was condemned; what cannot go now, it logs and is asked for again after the next collection. */
	sweep(signal: AbortSignal): Promise<void>;
}
