/** The thread of those who subscribe to events: each a client with a connection of its own, which counts what comes. */

import {parentPort, workerData} from 'node:worker_threads';
import {EventsDefinition, SubscribeRequest} from '../api/gen/services/events/v1/events.ts';
import {ApiClient} from './api-client.ts';
import type {ApiPlace} from './api-client.ts';

export interface SubscriberData extends ApiPlace {
	readonly topic: string;
	readonly subscribers: number;
}

/** How many came to all of them until now, and when the last did: milliseconds since the epoch. */
export interface SubscriberNews {
	readonly came: number;
	readonly lastAt: number;
}

const TELL_MS = 50;

const {topic, subscribers, ...place} = workerData as SubscriberData;
const call = {service: EventsDefinition.fullName, method: EventsDefinition.methods.subscribe, request: SubscribeRequest.encode({filters: [`topic==${JSON.stringify(topic)}`]}).finish()};
let came = 0;
let lastAt = 0;

for (let at = 0; at < subscribers; at++) {
	void new ApiClient(place).stream(call, () => {
		came++;
		lastAt = performance.timeOrigin + performance.now();
	});
}
setInterval(() => parentPort?.postMessage({came, lastAt} satisfies SubscriberNews), TELL_MS);
