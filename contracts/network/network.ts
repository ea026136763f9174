/**
 * Network: namespaces, and who populates them.
 *
 * Within Tasks.Create, before the runtime is called, the container's network namespace is made, pinned at a path, and empty but for
 * `lo`; then each network plugin is asked, in the order of their names, to attach it. A failed attach fails the create and is undone.
 * Anybody else may populate the namespace until Tasks.Start. Not pinned: a namespace whose path the spec names, and one below a user namespace.
 *
 *     NetworkNamespaces.create ─► Network.attach … ─► (runtime create, start, exit) ─► Network.detach … ─► NetworkNamespaces.remove
 */

import {contract} from '../../kernel/contract.ts';
import type {Labels} from '../oci/labels.ts';

/** A namespace that outlives the process which made it. */
export interface PinnedNamespace {
	/** The daemon's namespace, and the container's id. */
	readonly namespace: string;
	readonly containerId: string;
	/** `<state>/netns/<namespace>-<id>`: what `ip netns`-like programs and CNI take. */
	readonly path: string;
}

export interface NetworkNamespaces {
	/** Rejects with ALREADY_EXISTS; on failure nothing is left. */
	create(namespace: string, containerId: string, signal?: AbortSignal): Promise<PinnedNamespace>;
	/** Removing what is not there is no error. */
	remove(namespace: string, containerId: string): Promise<void>;
	/** All that are pinned, also by an earlier run of the daemon. */
	list(): Promise<readonly PinnedNamespace[]>;
}

export const NetworkNamespaces = contract('io.keelson.netns.v1').for<NetworkNamespaces>();

export interface NetworkRequest extends PinnedNamespace {
	/** The container's labels and its spec's annotations, for a plugin that decides by them. */
	readonly labels: Labels;
	readonly annotations: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
}

/** What was attached; kept by nobody, a plugin must be able to detach without it (the daemon may have been restarted). */
export interface Attachment {
	/** Interfaces in the namespace, with their addresses in CIDR form. */
	readonly interfaces: readonly {readonly name: string; readonly addresses: readonly string[]}[];
}

export interface Network {
	/** Rejects: the create fails with its message, `detach` is called all the same. */
	attach(request: NetworkRequest): Promise<Attachment>;
	/** Undoes attach, whole or half done; the namespace may be gone already. Doing it twice is harmless. */
	detach(request: NetworkRequest): Promise<void>;
}

export const Network = contract('io.keelson.network.v1').for<Network>();
