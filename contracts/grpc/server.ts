/** A listener of this daemon, each kind a plugin: whoever needs clients to be able to come asks for all of them, and is started after them. */

import {contract} from '../../kernel/contract.ts';

export interface Server {
	/** Where clients come in: paths of sockets, and `tcp://host:port`. */
	readonly addresses: readonly string[];
}

export const Server = contract('io.containerd.server.v1').for<Server>();
