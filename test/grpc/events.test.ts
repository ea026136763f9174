import {connect} from 'node:net';
import test from 'ava';
import {TaskExit} from '../../api/gen/events/task.ts';
import {EventsDefinition} from '../../api/gen/services/events/v1/events.ts';
import {EventsDefinition as TtrpcEvents} from '../../api/gen/services/ttrpc/events/v1/events.ts';
import type {Envelope as EnvelopeMessage} from '../../api/gen/types/event.ts';
import {TtrpcClient} from '../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../lib/ttrpc/typed-service.ts';
import {EventExchange} from '../../plugins/event-exchange/exchange.ts';
import {eventsService, ttrpcEventsService} from '../../plugins/grpc-events/service.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {until} from '../helpers/until.ts';

const {fullName: SERVICE, methods} = EventsDefinition;
const exitedAt = new Date('2026-01-02T03:04:05.678Z');
const exit = {containerId: 'c1', id: 'c1', pid: 42, exitStatus: 3, exitedAt};

interface Room extends AsyncDisposable {
	readonly room: GrpcRoom;
	readonly bus: EventExchange;
	/** Subscribes; resolves once the subscription stands, with what it hears from then on. */
	readonly listen: (...filters: string[]) => Promise<readonly EnvelopeMessage[]>;
}

async function open(): Promise<Room> {
	const bus = new EventExchange();
	const room = await GrpcRoom.open([eventsService(bus), ttrpcEventsService(bus)]);
	return {
		room, bus,
		async listen(...filters) {
			const heard: EnvelopeMessage[] = [];
			const probe = `/probe/p${Math.random().toString(36).slice(2)}`;
			const subscription = room.client.stream(SERVICE, methods.subscribe, {filters: filters.length === 0 ? [] : [...filters, `topic=="${probe}"`]});
			let stands = false;
			void (async () => {
				for await (const envelope of subscription) {
					if (envelope.namespace === 'probe') {
						stands = true;
					} else {
						heard.push(envelope);
					}
				}
			})().catch(() => {});
			await until('the subscription stands', () => {
				bus.forward({timestamp: new Date(), namespace: 'probe', topic: probe, event: {typeUrl: '', value: new Uint8Array()}});
				return stands;
			});
			return heard;
		},
		[Symbol.asyncDispose]: () => room[Symbol.asyncDispose](),
	};
}

test('an event of ours reaches a subscriber as containerd\'s message', async t => {
	await using events = await open();
	const heard = await events.listen();
	events.bus.publish('ns', '/tasks/exit', {type: 'containerd.events.TaskExit', value: exit});
	const envelope = await until('the event', () => heard[0]);
	t.is(envelope.namespace, 'ns');
	t.is(envelope.topic, '/tasks/exit');
	t.is(envelope.event?.typeUrl, 'containerd.events.TaskExit');
	t.deepEqual(TaskExit.decode(envelope.event?.value ?? new Uint8Array()), {...exit, exitedAt: {seconds: 1_767_323_045n, nanos: 678_000_000}});
});

test('what a client publishes is handed on byte for byte, whatever it is', async t => {
	await using events = await open();
	const heard = await events.listen('topic=="/custom/thing"');
	const value = Buffer.from([0xff, 0xff, 0xff]);
	await events.room.client.unary(SERVICE, methods.publish, {topic: '/custom/thing', event: {typeUrl: 'containerd.events.TaskExit', value}});
	const envelope = await until('the event', () => heard[0]);
	t.is(envelope.namespace, 'default');
	t.deepEqual(Buffer.from(envelope.event?.value ?? []), value);
});

test('forward keeps namespace and time', async t => {
	await using events = await open();
	const heard = await events.listen();
	const envelope = {timestamp: {seconds: 5n, nanos: 7_000_000}, namespace: 'other', topic: '/x/y', event: {typeUrl: 'a', value: Buffer.from('b')}};
	await events.room.client.unary(SERVICE, methods.forward, {envelope});
	t.like(await until('the event', () => heard[0]), {timestamp: {seconds: 5n, nanos: 7_000_000}, namespace: 'other', topic: '/x/y'});
	await t.throwsAsync(events.room.client.unary(SERVICE, methods.forward, {}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(events.room.client.unary(SERVICE, methods.publish, {topic: '/x'}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(events.room.client.unary(SERVICE, methods.publish, {topic: 'no slash', event: envelope.event}), {code: 'INVALID_ARGUMENT'});
});

test('a shim forwards over ttrpc', async t => {
	await using events = await open();
	const heard = await events.listen();
	await using client = new TtrpcClient(connect(events.room.ttrpcAddress));
	const event = {typeUrl: 'containerd.events.TaskExit', value: TaskExit.encode({...exit, exitedAt: undefined}).finish()};
	await ttrpcClientFor(TtrpcEvents, client).forward({envelope: {timestamp: {seconds: 1n, nanos: 0}, namespace: 'ns', topic: '/tasks/exit', event}});
	t.like(await until('the event', () => heard[0]), {namespace: 'ns', topic: '/tasks/exit'});
	await t.throwsAsync(ttrpcClientFor(TtrpcEvents, client).forward({}), {code: 'INVALID_ARGUMENT'});
});

test('filters look into topic, namespace and the event itself, ours or forwarded', async t => {
	await using events = await open();
	const byTopic = await events.listen('topic~=|^/tasks/|');
	const byNamespace = await events.listen('namespace==one');
	const byField = await events.listen('event.container_id==c2');
	const byLabel = await events.listen('event.labels."a.b"==yes');
	events.bus.publish('one', '/tasks/exit', {type: 'containerd.events.TaskExit', value: exit});
	events.bus.publish('two', '/tasks/start', {type: 'containerd.events.TaskStart', value: {containerId: 'c2', pid: 7}});
	const value = TaskExit.encode({...exit, containerId: 'c2', exitedAt: undefined}).finish();
	events.bus.forward({timestamp: new Date(), namespace: 'two', topic: '/shim/exit', event: {typeUrl: 'containerd.events.TaskExit', value}});
	events.bus.publish('one', '/namespaces/create', {type: 'containerd.events.NamespaceCreate', value: {name: 'n', labels: {'a.b': 'yes'}}});
	events.bus.forward({timestamp: new Date(), namespace: 'two', topic: '/unknown', event: {typeUrl: 'nobody.knows', value: Buffer.from([1, 2, 3])}});
	const topics = (heard: readonly EnvelopeMessage[]): string[] => heard.map(({topic}) => topic);
	await until('all that match', () => byTopic.length === 2 && byNamespace.length === 2 && byField.length === 2 && byLabel.length === 1);
	t.deepEqual(topics(byTopic), ['/tasks/exit', '/tasks/start']);
	t.deepEqual(topics(byNamespace), ['/tasks/exit', '/namespaces/create']);
	t.deepEqual(topics(byField), ['/tasks/start', '/shim/exit']);
	t.deepEqual(topics(byLabel), ['/namespaces/create']);
});

test('a filter that does not parse is INVALID_ARGUMENT', async t => {
	await using events = await open();
	await t.throwsAsync(events.room.client.stream(SERVICE, methods.subscribe, {filters: ['topic==']}).next(), {code: 'INVALID_ARGUMENT'});
});
