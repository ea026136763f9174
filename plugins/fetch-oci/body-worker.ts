/** The thread that takes large answers off the network: the daemon's event loop gets them in few large pieces. */

import {parentPort, workerData} from 'node:worker_threads';
import {stayBehind} from '../../lib/threads/quiet-worker.ts';
import {Agents} from './agents.ts';
import type {HttpRequest, HttpResponse} from './http-client.ts';
import type {Trust} from './hosts.ts';
import {Outlet} from './outlet.ts';
import {PieceFiller} from './piece-filler.ts';
import {PiecePool, type Piece} from './piece-pool.ts';
import {proxyFor} from './proxy.ts';
import {RawClient} from './raw-client.ts';
import {OnlyHttp2Error} from './raw-connections.ts';
import type {RawRequest, Sink} from './raw-exchange.ts';

export type BodyOrder =
	/** Something at this address will be asked for soon. */
	| {readonly kind: 'expect'; readonly url: string; readonly headers: HttpRequest['headers']; readonly trust: Trust}
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
	readonly filler: PieceFiller;
}

// Calls of clients go before bytes.
stayBehind();
const {environment} = workerData as BodyThreadData;
const agents = new Agents(environment);
const raw = new RawClient();
const answers = new Map<number, Answer>();
const pool = new PiecePool();

parentPort?.on('message', (order: BodyOrder) => {
	switch (order.kind) {
		case 'expect': {
			expect(order);
			break;
		}
		case 'get': {
			void get(order);
			break;
		}
		case 'read': {
			pool.give(order.piece);
			answers.get(order.id)?.filler.wasRead();
			break;
		}
		case 'drop': {
			answers.get(order.id)?.ending.abort();
			break;
		}
	}
});

function expect({url: address, headers, trust}: Extract<BodyOrder, {kind: 'expect'}>): void {
	const url = new URL(address);
	if (proxyFor(url, environment) === undefined) {
		raw.expect(url, trust, headers);
	}
}

async function get({id, url: address, headers, trust, headersTimeoutMs, stallTimeoutMs}: Extract<BodyOrder, {kind: 'get'}>): Promise<void> {
	const ending = new AbortController();
	const filler = new PieceFiller(pool, piece => tell({id, kind: 'bytes', piece}));
	answers.set(id, {ending, filler});
	try {
		const url = new URL(address);
		const sink: Sink = {filler, head: ({statusCode, headers: told}) => tell({id, kind: 'head', statusCode, headers: told})};
		await fetchInto({url, headers, headersTimeoutMs, stallTimeoutMs}, trust, sink, ending.signal);
		tell({id, kind: 'end'});
	} catch (error) {
		tell({id, kind: 'failed', message: error instanceof AggregateError ? error.errors.map(String).join('; ') : error instanceof Error ? error.message : String(error)});
	} finally {
		answers.delete(id);
	}
}

/** Resolves once all of an answer is sent; rejects with what the network says, after what came of it was sent. */
async function fetchInto(request: RawRequest, trust: Trust, sink: Sink, signal: AbortSignal): Promise<void> {
	if (proxyFor(request.url, environment) === undefined) {
		try {
			await raw.get(request, trust, sink, signal);
			return;
		} catch (error) {
			if (!(error instanceof OnlyHttp2Error)) {
				throw error;
			}
		}
	}
	// Not with the thread's start, of which it would be the most.
	const {stream} = await import('undici');
	const {url, headers, headersTimeoutMs, stallTimeoutMs} = request;
	try {
		await stream(url, {
			method: 'GET', headers, signal, dispatcher: await agents.get(url, trust), headersTimeout: headersTimeoutMs, bodyTimeout: stallTimeoutMs,
		}, answer => {
			sink.head(answer);
			return new Outlet(sink.filler);
		});
	} finally {
		sink.filler.close();
	}
}

function tell(news: BodyNews): void {
	parentPort?.postMessage(news);
}
