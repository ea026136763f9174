import type {ExecutionContext, TestFn} from 'ava';
import type {Envelope, EventBus} from './event.ts';

export interface EventSubject {
	readonly name: string;
	/** A bus of its own. */
	create(): EventBus;
}

/** Every event bus passes this. */
export function eventSuite(test: TestFn, {name, create}: EventSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, bus: EventBus) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => tell(t, create()));
	};

	story('a subscriber hears what is published from the moment subscribe returns, in order', async (t, bus) => {
		using end = ending();
		publish(bus, 'before');
		const events = bus.subscribe({signal: end.signal});
		publish(bus, 'a');
		publish(bus, 'b');
		t.deepEqual(await names(events, 2), ['a', 'b']);
	});

	story('filters choose by topic and namespace, and are OR-ed', async (t, bus) => {
		using end = ending();
		const events = bus.subscribe({signal: end.signal, filters: ['topic=="/namespaces/delete"', 'namespace==other']});
		publish(bus, 'a');
		bus.publish('n', '/namespaces/delete', {type: 'containerd.events.NamespaceDelete', value: {name: 'b'}});
		publish(bus, 'c', 'other');
		t.deepEqual(await names(events, 2), ['b', 'c']);
	});

	story('fields of the event itself are asked of the subscriber', async (t, bus) => {
		using end = ending();
		const events = bus.subscribe({signal: end.signal, filters: ['event.name==b'], field: envelope => nameOf(envelope)});
		publish(bus, 'a');
		publish(bus, 'b');
		t.deepEqual(await names(events, 1), ['b']);
	});

	story('an envelope is forwarded as it is', async (t, bus) => {
		using end = ending();
		const events = bus.subscribe({signal: end.signal});
		const envelope: Envelope = {timestamp: new Date(1000), namespace: 'n', topic: '/tasks/exit', event: {typeUrl: 'x.Y', value: Uint8Array.of(0, 255)}};
		bus.forward(envelope);
		for await (const heard of events) {
			t.deepEqual(heard, envelope);
			break;
		}
	});

	story('an aborted subscription ends, and one that is returned hears no more', async (t, bus) => {
		using end = ending();
		const events = bus.subscribe({signal: end.signal})[Symbol.asyncIterator]();
		const waiting = events.next();
		end.stop();
		t.true((await waiting).done);
		t.true((await events.next()).done);
	});

	story('a subscriber that never reads is cut off, and nobody else notices', async (t, bus) => {
		using end = ending();
		const slow = bus.subscribe({signal: end.signal})[Symbol.asyncIterator]();
		const quick = bus.subscribe({signal: end.signal, filters: ['namespace==last']});
		for (let index = 0; index < 100_000; index++) {
			publish(bus, 'x');
		}
		publish(bus, 'y', 'last');
		t.deepEqual(await names(quick, 1), ['y']);
		await t.throwsAsync(slow.next(), {code: 'RESOURCE_EXHAUSTED'});
	});

	story('a bad topic, namespace or filter is refused at the door', async (t, bus) => {
		using end = ending();
		for (const [namespace, topic] of [['n', 'tasks'], ['n', '/'], ['n', '/a//b'], ['a/b', '/a'], ['', '/a'], ['n', `/${'x'.repeat(77)}`]] as const) {
			t.throws(() => {
				bus.forward({timestamp: new Date(), namespace, topic, event: {typeUrl: 'x.Y', value: new Uint8Array()}});
			}, {code: 'INVALID_ARGUMENT'}, `${namespace} ${topic}`);
		}
		t.throws(() => bus.subscribe({signal: end.signal, filters: ['topic=']}), {code: 'INVALID_ARGUMENT'});
	});
}

function publish(bus: EventBus, name: string, namespace = 'n'): void {
	bus.publish(namespace, '/namespaces/create', {type: 'containerd.events.NamespaceCreate', value: {name, labels: {}}});
}

function nameOf({event}: Envelope): string | undefined {
	return 'type' in event && 'name' in event.value ? event.value.name : undefined;
}

async function names(events: AsyncIterable<Envelope>, count: number): Promise<(string | undefined)[]> {
	const found: (string | undefined)[] = [];
	for await (const envelope of events) {
		found.push(nameOf(envelope));
		if (found.length === count) {
			break;
		}
	}
	return found;
}

function ending(): Disposable & {readonly signal: AbortSignal; stop(): void} {
	const controller = new AbortController();
	return {
		signal: controller.signal,
		stop: () => {
			controller.abort();
		},
		[Symbol.dispose]: () => {
			controller.abort();
		},
	};
}
