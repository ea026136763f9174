import type {IncomingMessage, OutgoingHttpHeaders} from 'node:http';
import type {Trust} from './hosts.ts';
import type {Body} from './http-client.ts';

/** A message with nothing to send, or so little that it goes at once. */
export interface SmallRequest {
	readonly method: string;
	readonly url: URL;
	readonly trust: Trust;
	readonly headers: OutgoingHttpHeaders;
	readonly body: Uint8Array | string | undefined;
	readonly headersTimeoutMs: number;
	/** Milliseconds without a byte after which the body counts as broken. */
	readonly stallTimeoutMs: number;
	readonly signal: AbortSignal | undefined;
}

/** The caller reads, dumps or destroys the body. */
export interface SmallResponse {
	readonly statusCode: number;
	readonly headers: IncomingMessage['headers'];
	readonly body: Body;
}

/** A connection that was kept was closed before it could answer: nothing was said to the request. */
export class StaleConnectionError extends Error {}
