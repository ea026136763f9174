import {dateOf, timestampOf} from '../../api/convert/timestamp.ts';
import type {Envelope as EnvelopeMessage} from '../../api/gen/types/event.ts';
import type {Envelope, EventBody, EventType, EventValue} from '../../contracts/event/event.ts';
import type {Any} from '../../contracts/oci/any.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {eventCodecs, type EventCodec} from './codecs.ts';

/** As the wire has it; an Any goes on byte for byte. */
export function envelopeMessage({timestamp, namespace, topic, event}: Envelope): EnvelopeMessage {
	return {timestamp: timestampOf(timestamp), namespace, topic, event: anyOf(event)};
}

/** What somebody else published; without a time, it happened now. Throws INVALID_ARGUMENT for a request with no envelope. */
export function envelopeOf(message: EnvelopeMessage | undefined): Envelope {
	if (message === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'a request to forward an event has no envelope in it');
	}
	const {timestamp, namespace, topic, event} = message;
	return {timestamp: dateOf(timestamp) ?? new Date(), namespace, topic, event: event ?? {typeUrl: '', value: new Uint8Array()}};
}

function anyOf(event: EventBody): Any {
	return 'typeUrl' in event ? event : {typeUrl: event.type, value: encode(event)};
}

function encode<T extends EventType>({type, value}: EventValue<T>): Uint8Array {
	return (eventCodecs[type] as EventCodec<EventValue<T>['value']>).encode(value);
}

/**
 * A field inside an event, as filters name it: `['event', 'container_id']`, `['event', 'labels', 'a.b']`. Undefined where there is none, or where
 * the event is of a type that this daemon does not know.
 */
export function eventField({event}: Envelope, [first, ...path]: readonly string[]): string | undefined {
	if (first !== 'event') {
		return undefined;
	}
	let value: unknown = decoded(event);
	for (const [index, name] of path.entries()) {
		if (typeof value !== 'object' || value === null) {
			return undefined;
		}
		const rest = path.slice(index).join('.');
		if (Object.hasOwn(value, rest)) {
			return textOf((value as Readonly<Record<string, unknown>>)[rest]);
		}
		const key = name.replaceAll(/_(?<letter>[a-z])/g, (_, letter: string) => letter.toUpperCase());
		value = Object.hasOwn(value, key) ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
	}
	return textOf(value);
}

function decoded(event: EventBody): unknown {
	if (!('typeUrl' in event)) {
		return event.value;
	}
	if (!Object.hasOwn(eventCodecs, event.typeUrl)) {
		return undefined;
	}
	try {
		return eventCodecs[event.typeUrl as EventType].decode(event.value);
	} catch {
		// Anybody may publish anything under any name; a filter does not match what cannot be read.
		return undefined;
	}
}

function textOf(value: unknown): string | undefined {
	return typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : undefined;
}
