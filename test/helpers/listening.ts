import type {Background} from './background.ts';
import type {Ctr} from './ctr.ts';
import type {Daemon} from './daemon.ts';
import {clientOf} from './task-client.ts';
import {until} from './until.ts';

/** `ctr events`, once it hears: what happens before a subscription is told to nobody. It has printed probes of the topic `/listening/probe`. */
export async function listening(daemon: Daemon, ctr: Ctr): Promise<Background> {
	using client = clientOf(daemon, ctr);
	const events = ctr.background('events');
	await until('the subscription', async () => {
		// A type that every release's client knows: it ends at others.
		await client.services.events.publish({topic: '/listening/probe', event: {typeUrl: 'containerd.events.NamespaceCreate', value: new Uint8Array(0)}});
		return events.stdout.includes(' /listening/probe ');
	}, {everyMs: 50});
	return events;
}
