/** The thread that takes large answers off the network: the daemon's event loop gets them in few large pieces. */

import {constants, setPriority} from 'node:os';
import {parentPort, workerData} from 'node:worker_threads';
import {stream} from 'undici';
import {Agents} from './agents.ts';
import type {HttpRequest, HttpResponse} from './http-client.ts';
import type {Trust} from './hosts.ts';
import {Outlet} from './outlet.ts';
import {PiecePool, type Piece} from './piece-pool.ts';

export type BodyOrder =
	| {readonly id: number; readonly kind: 'get'; readonly url: string; readonly headers: HttpRequest['headers']; readonly trust: Trust; readonly headersTimeoutMs: number; readonly stallTimeoutMs: number}
	/** A piece was read, and may be filled again, also for another answer. */
	| {readonly id: number; readonly kind: 'read'; readonly piece: number}
	| {readonly id: number; readonly kind: 'drop'};

export type BodyNews =
	| {readonly id: number; readonly kind: 'head'; readonly statusCode: number; readonly headers: HttpResponse['headers']}
	| {readonly id: number; readonly kind: 'bytes'; readonly piece: Piece}
	| {readonly id: number; readonly kind: 'end'}
	| {readonly id: number; readonly kind: 'failed'; readonly message: string};

/** What the thread is started with. */
export interface BodyThreadData {
	/** Where proxies are named. */
	readonly environment: Readonly<Record<string, string | undefined>>;
}

interface Answer {
	readonly ending: AbortController;
	readonly outlet: Outlet;
}

// On Linux that is this thread alone: calls of clients go before bytes.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
const agents = new Agents((workerData as BodyThreadData).environment);
const answers = new Map<number, Answer>();
const pool = new PiecePool();

parentPort?.on('message', (order: BodyOrder) => {
	switch (order.kind) {
		case 'get': {
			void get(order);
			break;
		}
		case 'read': {
			pool.give(order.piece);
			answers.get(order.id)?.outlet.wasRead();
			break;
		}
		case 'drop': {
			answers.get(order.id)?.ending.abort();
			break;
		}
	}
});

async function get({id, url, headers, trust, headersTimeoutMs, stallTimeoutMs}: Extract<BodyOrder, {kind: 'get'}>): Promise<void> {
	const ending = new AbortController();
	const outlet = new Outlet(pool, piece => tell({id, kind: 'bytes', piece}));
	answers.set(id, {ending, outlet});
	try {
		const address = new URL(url);
		await stream(address, {
			method: 'GET', headers, signal: ending.signal, dispatcher: await agents.get(address, trust), headersTimeout: headersTimeoutMs, bodyTimeout: stallTimeoutMs,
		}, answer => {
			tell({id, kind: 'head', statusCode: answer.statusCode, headers: answer.headers});
			return outlet;
		});
		tell({id, kind: 'end'});
	} catch (error) {
		tell({id, kind: 'failed', message: error instanceof AggregateError ? error.errors.map(String).join('; ') : error instanceof Error ? error.message : String(error)});
	} finally {
		outlet.destroy();
		answers.delete(id);
	}
}

function tell(news: BodyNews): void {
	parentPort?.postMessage(news);
}
