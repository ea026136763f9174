/** Decides when Metadata collects; what is collected is Metadata's to decide. */

import {contract} from '../../kernel/contract.ts';
import type {CollectResult} from './metadata.ts';

export interface GarbageCollector {
	/** The last collection that this one asked for and that succeeded. */
	readonly last: CollectResult | undefined;
}

export const GarbageCollector = contract('io.containerd.gc.v1').for<GarbageCollector>();
