import test from 'ava';
import {EventsDefinition} from '../../api/gen/services/ttrpc/events/v1/events.ts';
import {TaskOOM} from '../../api/gen/events/task.ts';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../lib/ttrpc/typed-service.ts';
import {containerd} from '../helpers/containerd-program.ts';
import {Daemon} from '../helpers/daemon.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {releases} from '../helpers/releases.ts';
import {until} from '../helpers/until.ts';

const envelopeOf = (namespace: string, containerId: string) => ({
	timestamp: {seconds: BigInt(Math.floor(Date.now() / 1000)), nanos: 0}, namespace, topic: '/tasks/oom',
	event: {typeUrl: 'containerd.events.TaskOOM', value: TaskOOM.encode({containerId}).finish()},
});

for (const program of [...releases.map(release => containerd(release)), keelson()]) {
	test.serial(`${program.name} takes events over ttrpc, many at a time and a large one, and refuses in its codes`, async t => {
		await using daemon = await Daemon.start(program);
		const namespace = daemon.namespace('ttrpc');
		await using listener = daemon.ctr('2.1', namespace).background('events');
		await using client = await connectTtrpc(`${daemon.places.address}.ttrpc`, {signal: AbortSignal.timeout(10_000)});
		const events = ttrpcClientFor(EventsDefinition, client);
		const options = {timeoutMs: 20_000, metadata: {'containerd-namespace-ttrpc': namespace, 'x-twice': ['a', 'b']}};
		await until('an event to be heard', async () => {
			await events.forward({envelope: envelopeOf(namespace, 'probe')}, options);
			return listener.stdout.includes('probe');
		}, {everyMs: 50});

		await Promise.all(Array.from({length: 200}, async (_, n) => events.forward({envelope: envelopeOf(namespace, `many-${n}-`)}, options)));
		await until('all to be heard', () => Array.from({length: 200}).every((_, n) => listener.stdout.includes(`many-${n}-`)));
		const large = 'x'.repeat(1024 * 1024);
		await events.forward({envelope: envelopeOf(namespace, large)}, options);

		await t.throwsAsync(events.forward({envelope: envelopeOf('not a namespace', 'c')}, options), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(events.forward({envelope: envelopeOf(namespace, 'x'.repeat(4 * 1024 * 1024))}, options), {code: 'RESOURCE_EXHAUSTED'});
		await t.throwsAsync(client.unary({service: 'no.such.Service', method: 'Forward', payload: new Uint8Array(0), timeoutMs: 20_000}), {code: 'UNIMPLEMENTED'});
		await t.throwsAsync(client.unary({service: EventsDefinition.fullName, method: 'NoSuchMethod', payload: new Uint8Array(0), timeoutMs: 20_000}), {code: 'UNIMPLEMENTED'});
		await t.throwsAsync(events.forward({envelope: envelopeOf(namespace, 'c')}, {...options, signal: AbortSignal.abort()}), {code: 'CANCELLED'});
		// The connection has borne all that.
		await events.forward({envelope: envelopeOf(namespace, 'last')}, options);

		await daemon.kill9();
		await client.closed;
		await t.throwsAsync(events.forward({envelope: envelopeOf(namespace, 'c')}, options), {code: 'UNAVAILABLE'});
	});
}
