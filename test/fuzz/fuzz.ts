import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {Worker} from 'node:worker_threads';
import type {FuzzNews, FuzzOrder} from './fuzz-worker.ts';
import {targets} from './targets.ts';

export interface Run {
	readonly target: string;
	readonly seed: number;
	readonly milliseconds: number;
	/** At most; default: as many as the time allows. */
	readonly executions?: number;
	/** No input may take longer. Default 5000: what none of 64 KiB takes, also where a busy machine takes some of it. */
	readonly hangMs?: number;
	/** Keeps what reached something new, and what broke the target, in the corpus. */
	readonly keeps?: boolean;
}

export interface Outcome {
	readonly target: string;
	readonly executions: number;
	/** What broke it: why, and with what. */
	readonly broken: readonly {readonly why: string; readonly input: Uint8Array}[];
	readonly kept: number;
}

const CORPUS = path.join(import.meta.dirname, 'corpus');
const HEAP_MB = 192;
/** More than what 64 KiB of gzip hold, all of which may wait for the collector. */
const EXTERNAL_BYTES_MAX = 128 * 1024 * 1024;
const CURRENT_BYTES = 16 + 64 * 1024;
const BROKEN_MAX = 20;

export const targetNames: readonly string[] = targets.map(({name}) => name);

/** Runs one target in a thread of its own: what throws, hangs or fills the memory ends the thread, and is told with its input. */
export async function fuzz({target, seed, milliseconds, executions = Number.MAX_SAFE_INTEGER, hangMs = 5000, keeps = false}: Run): Promise<Outcome> {
	const current = new SharedArrayBuffer(CURRENT_BYTES);
	const order: FuzzOrder = {target, seed, milliseconds, executions, current, externalBytesMax: EXTERNAL_BYTES_MAX, corpus: await corpusOf(target)};
	const worker = new Worker(new URL('fuzz-worker.ts', import.meta.url), {workerData: order, resourceLimits: {maxOldGenerationSizeMb: HEAP_MB}});
	const broken: {why: string; input: Uint8Array}[] = [];
	const found: Uint8Array[] = [];
	let done = -1;
	const {promise, resolve} = Promise.withResolvers<void>();
	worker.on('message', (news: FuzzNews) => {
		if (news.kind === 'new') {
			found.push(news.input);
		} else if (news.kind === 'done') {
			done = news.executions;
		} else if (broken.push({why: news.error, input: news.input}) >= BROKEN_MAX) {
			void worker.terminate();
		}
	});
	worker.on('error', error => broken.push({why: String(error), input: currentOf(current)}));
	worker.on('exit', () => resolve());
	const watch = setInterval(() => {
		const since = new DataView(current).getFloat64(8);
		if (since > 0 && done < 0 && Date.now() - since > hangMs) {
			broken.push({why: `takes longer than ${hangMs} ms`, input: currentOf(current)});
			void worker.terminate();
		}
	}, 500);
	await promise;
	clearInterval(watch);
	for (const input of keeps ? [...found, ...broken.map(one => one.input)] : []) {
		await keep(target, input);
	}
	return {target, executions: Math.max(0, done), broken, kept: found.length};
}

async function corpusOf(target: string): Promise<readonly Uint8Array[]> {
	const directory = path.join(CORPUS, target);
	const names: string[] = await readdir(directory).catch(() => []);
	return Promise.all(names.toSorted().map(async name => readFile(path.join(directory, name))));
}

async function keep(target: string, input: Uint8Array): Promise<void> {
	await mkdir(path.join(CORPUS, target), {recursive: true});
	await writeFile(path.join(CORPUS, target, createHash('sha256').update(input).digest('hex').slice(0, 16)), input);
}

function currentOf(current: SharedArrayBuffer): Uint8Array {
	return new Uint8Array(current, 16).slice(0, new DataView(current).getUint32(0));
}
