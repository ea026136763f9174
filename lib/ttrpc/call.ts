import {KeelsonError} from '../../kernel/errors.ts';
import type {Metadata} from './messages.ts';

/** What every call of a client can say. */
export interface CallOptions {
	readonly metadata?: Readonly<Record<string, string | readonly string[]>> | Metadata | undefined;
	/** The peer is told, and it is kept here too. */
	readonly timeoutMs?: number | undefined;
	readonly signal?: AbortSignal | undefined;
}

/** What every handler of a server is told. */
export interface CallContext {
	readonly service: string;
	readonly method: string;
	readonly metadata: Metadata;
	/** Aborted when the deadline has passed, the client is gone, or the server is closed. */
	readonly signal: AbortSignal;
	/** In milliseconds since 1970. */
	readonly deadline: number | undefined;
}

export function toMetadata(metadata: CallOptions['metadata'] = {}): Metadata {
	const entries: Iterable<readonly [string, string | readonly string[]]> = metadata instanceof Map ? metadata : Object.entries(metadata);
	return new Map(Array.from(entries, ([key, value]) => [key.toLowerCase(), typeof value === 'string' ? [value] : value]));
}

/** Why a call that was aborted has ended: DEADLINE_EXCEEDED by a timeout, CANCELLED otherwise. */
export function abortedError(signal: AbortSignal, what: string): KeelsonError {
	const reason: unknown = signal.reason;
	if (reason instanceof Error && reason.name === 'TimeoutError') {
		return new KeelsonError('DEADLINE_EXCEEDED', `${what}: deadline exceeded`, {cause: reason});
	}
	return new KeelsonError('CANCELLED', `${what}: cancelled`, {cause: reason});
}
