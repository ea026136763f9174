import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {encodeFrame, FRAME} from '../../lib/ttrpc/frame.ts';
import {encodeRequest} from '../../lib/ttrpc/messages.ts';
import {TtrpcServer} from '../../lib/ttrpc/server.ts';

const echo = {name: 'test.Echo', methods: {Echo: {handle: (payload: Uint8Array) => payload}}};

/** A thread that writes the frames that it is given, over and over, as fast as they are taken; says how many that were. */
class Flood implements AsyncDisposable {
	readonly #worker: Worker;

	constructor(how: 'listen' | 'connect', socket: string, frame: Buffer) {
		const source = `
			const {parentPort, workerData} = require('node:worker_threads');
			const net = require('node:net');
			let sent = 0;
			const flood = connection => {
				connection.on('error', () => undefined);
				connection.resume();
				const write = () => connection.write(workerData.frame, () => { sent++; setImmediate(write); });
				for (let index = 0; index < 64; index++) { write(); }
			};
			if (workerData.how === 'listen') {
				net.createServer(flood).listen(workerData.socket, () => parentPort.postMessage('ready'));
			} else {
				const connection = net.connect(workerData.socket, () => { parentPort.postMessage('ready'); flood(connection); });
			}
			parentPort.on('message', () => parentPort.postMessage(sent));
		`;
		this.#worker = new Worker(source, {eval: true, workerData: {how, socket, frame}});
	}

	async ask(): Promise<unknown> {
		return new Promise(resolve => {
			this.#worker.once('message', resolve);
			this.#worker.postMessage('how many');
		});
	}

	async ready(): Promise<void> {
		await new Promise(resolve => {
			this.#worker.once('message', resolve);
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#worker.terminate();
	}
}

async function directory(): Promise<{at: string} & AsyncDisposable> {
	const at = await mkdtemp(path.join(tmpdir(), 'keelson-pace-'));
	return {at, [Symbol.asyncDispose]: async () => rm(at, {recursive: true, force: true})};
}

const framesPerSecond = 1000;
const floodMs = 2500;
/** What the pace lets through in so many milliseconds, and what waits in sockets and streams. Without it tens of thousands come. */
const sentMax = (elapsedMs: number): number => (framesPerSecond * elapsedMs / 1000) + 5500;

test('a server that sends what nobody asked for is read no faster than it may', async t => {
	await using scratch = await directory();
	const socket = path.join(scratch.at, 's');
	await using flood = new Flood('listen', socket, encodeFrame({streamId: 9999, type: FRAME.RESPONSE, flags: 0, data: Buffer.alloc(1024)}));
	const began = performance.now();
	await flood.ready();
	let told = 0;
	await using client = await connectTtrpc(socket, {framesPerSecond, flooded: () => void told++});
	t.false(client.isFlooding);
	await sleep(floodMs);
	t.true(client.isFlooding);
	t.is(told, 1);
	const sent = await flood.ask();
	t.true(Number(sent) > 100 && Number(sent) < sentMax(performance.now() - began), `${String(sent)} frames`);
	t.false(client.isClosed);
});

test('a client that floods is read no faster than it may, and others are answered beside it', async t => {
	await using scratch = await directory();
	const socket = path.join(scratch.at, 's');
	await using server = new TtrpcServer({services: [echo], framesPerSecond});
	await server.listen(socket);
	// Always the same call: all but the first are refused, and each is a frame to be read.
	const data = encodeRequest({service: 'test.Echo', method: 'Echo', payload: Buffer.alloc(1024), timeoutNano: 0n, metadata: new Map()});
	await using flood = new Flood('connect', socket, encodeFrame({streamId: 1, type: FRAME.REQUEST, flags: 0, data}));
	const began = performance.now();
	await flood.ready();
	await using other = await connectTtrpc(socket);
	let calls = 0;
	for (const end = performance.now() + floodMs; performance.now() < end; calls++) {
		const payload = Buffer.from(String(calls));
		t.deepEqual(Buffer.from(await other.unary({service: 'test.Echo', method: 'Echo', payload, timeoutMs: 30_000})), payload);
	}
	const sent = await flood.ask();
	t.true(Number(sent) > 100 && Number(sent) < sentMax(performance.now() - began), `${String(sent)} frames`);
	t.true(calls > 100, `${calls} calls`);
});
