/**
 * Calls a daemon every ten milliseconds, in a process of its own: what each call takes is then what the daemon takes. Says `ready` once it is connected, and how long each call took,
 * milliseconds, once it is told that it is enough.
 */

import {setTimeout as sleep} from 'node:timers/promises';
import {VersionDefinition} from '../api/gen/services/version/v1/version.ts';
import {ApiClient} from './api-client.ts';

export type CallerNews = 'ready' | readonly number[];

const EVERY_MS = 10;
/** To connect, and to compile what calls, is no call. */
const FIRST_CALLS = 30;

const [address = '', namespace = ''] = process.argv.slice(2);
const call = {service: VersionDefinition.fullName, method: VersionDefinition.methods.version, request: new Uint8Array()};
const over = new AbortController();
using client = new ApiClient({address, namespace});
await client.latencies(call, FIRST_CALLS);
process.once('message', () => over.abort());
// Whoever asked is gone.
process.once('disconnect', () => over.abort());
tell('ready');
const latencies: number[] = [];
while (!over.signal.aborted) {
	latencies.push(...await client.latencies(call, 1));
	await sleep(EVERY_MS);
}
tell(latencies);
process.disconnect();

function tell(news: CallerNews): void {
	process.send?.(news);
}
