/**
 * Container monitors look after containers while nobody asks: they compare what is with what labels say that should be.
 */

import {contract} from '../../kernel/contract.ts';

export interface ContainerMonitor {
	/** Looks at every container once. Resolves when what was to be done is done; what fails for one container is logged, and keeps no other. */
	check(signal?: AbortSignal): Promise<void>;
}

export const ContainerMonitor = contract('io.containerd.monitor.container.v1').for<ContainerMonitor>();
