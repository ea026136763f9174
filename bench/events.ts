import {setTimeout as sleep} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import {ContainerCreate} from '../api/gen/events/container.ts';
import {EventsDefinition, PublishRequest} from '../api/gen/services/events/v1/events.ts';
import {ApiClient, placeOf} from './api-client.ts';
import type {Contestant} from './contestants.ts';
import type {SubscriberData, SubscriberNews} from './event-subscriber.ts';
import {report, reportLimit} from './measure.ts';

const EVENTS_PER_SECOND = 1000;
const SECONDS = 5;
const SUBSCRIBERS = 50;
const TICK_MS = 20;
/** For the streams to be open. */
const SETTLE_MS = 2000;
/** After the last event, for those who are behind. */
const LATE_MS = 30_000;
const TOPIC = '/bench/event';

/** A thousand events a second to fifty subscribers: how many of them come, and how long after the last was published the last comes. */
export async function benchEvents([ours, peer]: readonly [Contestant, Contestant]): Promise<void> {
	const [mine, theirs] = [await deliver(ours), await deliver(peer)];
	const sent = EVENTS_PER_SECOND * SECONDS * SUBSCRIBERS;
	console.log(`  events: of ${sent} came ${mine.came} with ${ours.name}, ${theirs.came} with ${peer.name}`);
	// One that is lost is beyond the limit.
	reportLimit('events-lost-and-one', {ours: 1 + sent - mine.came, limit: 1, unit: ''});
	report('events-last-after', {ours: mine.lastMs, peer: theirs.lastMs, unit: 'ms'});
}

async function deliver(contestant: Contestant): Promise<{readonly came: number; readonly lastMs: number}> {
	const expected = EVENTS_PER_SECOND * SECONDS;
	const data: SubscriberData = {...placeOf(contestant), topic: TOPIC, subscribers: SUBSCRIBERS};
	const worker = new Worker(new URL('./event-subscriber.ts', import.meta.url), {workerData: data});
	try {
		let news: SubscriberNews = {came: 0, lastAt: 0};
		const failed = Promise.withResolvers<never>();
		worker.on('error', failed.reject);
		worker.on('message', (told: SubscriberNews) => {
			news = told;
		});
		await Promise.race([sleep(SETTLE_MS), failed.promise]);
		await Promise.race([publish(contestant, expected), failed.promise]);
		const publishedAt = performance.timeOrigin + performance.now();
		for (const late = performance.now() + LATE_MS; news.came < expected * SUBSCRIBERS && performance.now() < late;) {
			await Promise.race([sleep(TICK_MS), failed.promise]);
		}
		return {came: news.came, lastMs: Math.max(1, news.lastAt - publishedAt)};
	} finally {
		await worker.terminate();
	}
}

async function publish(contestant: Contestant, count: number): Promise<void> {
	using client = new ApiClient(placeOf(contestant));
	const event = {typeUrl: 'containerd.events.ContainerCreate', value: ContainerCreate.encode(ContainerCreate.fromPartial({id: 'bench', image: 'registry.example/app:1'})).finish()};
	const call = {service: EventsDefinition.fullName, method: EventsDefinition.methods.publish, request: PublishRequest.encode({topic: TOPIC, event}).finish()};
	const began = performance.now();
	for (let sent = 0; sent < count;) {
		const due = Math.min(count, Math.floor((performance.now() - began) / 1000 * EVENTS_PER_SECOND));
		await Promise.all(Array.from({length: due - sent}, async () => client.unary(call)));
		sent = due;
		await sleep(TICK_MS);
	}
}
