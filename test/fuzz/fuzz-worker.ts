import {getHeapStatistics} from 'node:v8';
import {parentPort, workerData} from 'node:worker_threads';
import {isKeelsonError} from '../../kernel/errors.ts';
import {Coverage} from './coverage.ts';
import {faultyTargets} from './faulty-targets.ts';
import {Chance, mutate} from './mutate.ts';
import {targets, type Target} from './targets.ts';

/** What a worker is told. */
export interface FuzzOrder {
	readonly target: string;
	readonly seed: number;
	/** Ends after so many milliseconds or executions, whatever comes first. */
	readonly milliseconds: number;
	readonly executions: number;
	readonly corpus: readonly Uint8Array[];
	/** What one input may come to have outside of the heap, where buffers lie: limits of the heap do not count it. */
	readonly externalBytesMax: number;
	/** The input at work: its length, then its bytes. Whoever ends this thread reads there what it died of. */
	readonly current: SharedArrayBuffer;
}

/** What it tells in the end, and of each input that reached something new. */
export type FuzzNews = {readonly kind: 'new'; readonly input: Uint8Array} | {readonly kind: 'broken'; readonly input: Uint8Array; readonly error: string} | {readonly kind: 'done'; readonly executions: number};

const BATCH = 256;

async function fuzz({target: name, seed, milliseconds, executions, corpus, externalBytesMax, current}: FuzzOrder): Promise<number> {
	const target = [...targets, ...faultyTargets].find(one => one.name === name) as Target;
	const chance = new Chance(seed);
	const inputs: Buffer[] = [...target.seeds(), ...corpus].map(one => Buffer.from(one));
	await using coverage = await Coverage.start(target.sources);
	let count = 0;
	const execute = async (input: Buffer): Promise<void> => {
		note(current, input);
		count++;
		const before = getHeapStatistics().external_memory;
		try {
			await target.run(input);
		} catch (error) {
			if (!isKeelsonError(error)) {
				tell({kind: 'broken', input, error: error instanceof Error ? error.stack ?? error.message : String(error)});
			}
		}
		const grown = getHeapStatistics().external_memory - before;
		if (grown > externalBytesMax) {
			tell({kind: 'broken', input, error: `takes ${grown} bytes outside of the heap, at most ${externalBytesMax} are expected`});
		}
	};
	for (const input of inputs) {
		await execute(input);
	}
	await coverage.news();
	const end = Date.now() + milliseconds;
	const isOver = (): boolean => Date.now() >= end || count >= executions;
	while (!isOver()) {
		const batch = Array.from({length: BATCH}, () => mutate(chance.of(inputs) ?? Buffer.alloc(0), chance, inputs, target.words));
		for (const input of batch) {
			await execute(input);
		}
		if (await coverage.news() > 0) {
			for (const input of await smallest(batch, coverage, execute)) {
				inputs.push(input);
				tell({kind: 'new', input});
			}
		}
	}
	return count;
}

/** Those of a batch that reached something new, each tried for itself, the shortest first. */
async function smallest(batch: readonly Buffer[], coverage: Coverage, execute: (input: Buffer) => Promise<void>): Promise<readonly Buffer[]> {
	coverage.forgetLast();
	const kept: Buffer[] = [];
	for (const input of batch.toSorted((a, b) => a.length - b.length)) {
		await execute(input);
		if (await coverage.news() > 0) {
			kept.push(input);
		}
	}
	return kept;
}

function note(current: SharedArrayBuffer, input: Buffer): void {
	const view = new DataView(current);
	view.setUint32(0, input.length);
	view.setFloat64(8, Date.now());
	new Uint8Array(current, 16).set(input);
}

function tell(news: FuzzNews): void {
	parentPort?.postMessage(news);
}

tell({kind: 'done', executions: await fuzz(workerData as FuzzOrder)});
