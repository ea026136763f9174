/** A process that reads a layer through the registry client as slowly as a full disk would take it, and tells by how much it grew meanwhile. */

import {setTimeout as sleep} from 'node:timers/promises';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {clientOf} from './client.ts';

export interface Peak {
	readonly taken: number;
	/** Of resident memory, all threads. */
	readonly bytes: number;
}

const [, , reference = '', descriptor = '', concurrency = '1', partBytes = '0'] = process.argv;
const layer = JSON.parse(descriptor) as Descriptor;
/** For threads to start and code to be compiled. */
const warmBytes = 20 * 1024 * 1024;

await using client = clientOf({ranges: {concurrency: Number(concurrency), bytes: Number(partBytes)}});
await using repository = await client.resolve(reference);
for await (const _ of repository.open({...layer, size: warmBytes})) {
	await sleep(1);
	break;
}
globalThis.gc?.();
const before = process.memoryUsage.rss();
let taken = 0;
let peak = before;
let sampled = 0;
for await (const chunk of repository.open(layer)) {
	taken += chunk.length;
	// 256 KiB or a part at a time: about 100 MB a second.
	await sleep(chunk.length / 100_000);
	if (taken - sampled > 4 * 1024 * 1024) {
		sampled = taken;
		peak = Math.max(peak, process.memoryUsage.rss());
	}
}
console.log(JSON.stringify({taken, bytes: peak - before} satisfies Peak));
