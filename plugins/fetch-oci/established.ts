import type {Socket} from 'node:net';
import {CONNECT_TIMEOUT_MS} from './agents.ts';
import type {Way} from './way.ts';

/** Resolves once a connection stands, TLS and all. Otherwise it is destroyed; rejects with the network's own error, that it took too long, or the signal's reason. */
export async function established(socket: Socket, {url, trust}: Way, signal: AbortSignal | undefined): Promise<void> {
	const {promise, resolve, reject} = Promise.withResolvers<void>();
	const timeoutMs = trust.dialTimeoutMs ?? CONNECT_TIMEOUT_MS;
	const timer = setTimeout(() => socket.destroy(new Error(`connect timeout: no connection to ${url.host} within ${timeoutMs} ms`)), timeoutMs);
	const abort = (): void => void socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
	const closed = (): void => reject(new Error(`${url.host} closed the connection`));
	signal?.addEventListener('abort', abort, {once: true});
	socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', resolve).once('error', reject).once('close', closed);
	try {
		if (signal?.aborted === true) {
			abort();
		}
		await promise;
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener('abort', abort);
		socket.off('error', reject).off('close', closed);
	}
}
