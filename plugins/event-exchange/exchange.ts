import type {Envelope, EventBus, EventType, EventValue, Topic} from '../../contracts/event/event.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {Subscription} from './subscription.ts';

type SubscribeOptions = Parameters<EventBus['subscribe']>[0];

/** Keeps nothing: an event that nobody listens to is gone. */
export class EventExchange implements EventBus {
	readonly #subscriptions = new Set<{readonly subscription: Subscription; readonly matches: (envelope: Envelope) => boolean}>();

	publish<T extends EventType>(namespace: string, topic: Topic, event: EventValue<T>): void {
		this.forward({timestamp: new Date(), namespace, topic, event});
	}

	forward(envelope: Envelope): void {
		parseIdentifier(envelope.namespace, 'namespace');
		checkTopic(envelope.topic);
		for (const {subscription, matches} of this.#subscriptions) {
			if (matches(envelope)) {
				subscription.push(envelope);
			}
		}
	}

	subscribe({filters = [], signal, field}: SubscribeOptions): AsyncIterable<Envelope> {
		const compiled = compileFilters(filters);
		const matches = (envelope: Envelope): boolean => compiled(path => fieldOf(envelope, path) ?? field?.(envelope, path));
		const subscription = new Subscription(signal, () => this.#subscriptions.delete(entry));
		const entry = {subscription, matches};
		this.#subscriptions.add(entry);
		if (signal.aborted) {
			this.#subscriptions.delete(entry);
		}
		return subscription;
	}
}

function fieldOf({namespace, topic}: Envelope, [name]: readonly string[]): string | undefined {
	return name === 'topic' ? topic : name === 'namespace' ? namespace : undefined;
}

function checkTopic(topic: string): void {
	const [first, ...parts] = topic.split('/');
	if (first !== '' || parts.length === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', `event topic ${JSON.stringify(topic.slice(0, 200))} must start with a slash and name something`);
	}
	for (const part of parts) {
		parseIdentifier(part, `part of event topic ${JSON.stringify(topic.slice(0, 200))}`);
	}
}
