/**
 * Streams: named, two-way pipes of messages between a client's connection and whatever it asked for by another call.
 *
 * The client opens a stream under an id of its choice, then names the id in a request (a Transfer's progress, an import's bytes).
 */

import {contract} from '../../kernel/contract.ts';
import type {Any} from '../oci/any.ts';

export interface Stream extends AsyncDisposable {
	readonly id: string;
	/** The next message of the other side; undefined at its end. One reader at a time. */
	receive(signal?: AbortSignal): Promise<Any | undefined>;
	/** Resolves when the other side can take more. Rejects with UNAVAILABLE once it is closed. */
	send(message: Any, signal?: AbortSignal): Promise<void>;
}

export interface StreamManager {
	/**
	 * Opens both ends of a stream. The first is for the connection that asked, and disposing it ends both; with a lease so does the collection after that is gone.
	 * Rejects with ALREADY_EXISTS.
	 */
	create(namespace: string, id: string, options?: {readonly lease?: string | undefined}): Promise<Stream>;
	/** The other end. Waits a moment for a stream that is just being opened, and finds, once, one that ended a moment ago. Rejects with NOT_FOUND. */
	get(namespace: string, id: string, signal?: AbortSignal): Promise<Stream>;
}

export const StreamManager = contract('io.containerd.streaming.v1').for<StreamManager>();
