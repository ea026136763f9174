import {EventsDefinition} from '../../api/gen/services/events/v1/events.ts';
import {EventsDefinition as TtrpcEventsDefinition} from '../../api/gen/services/ttrpc/events/v1/events.ts';
import type {EventBus} from '../../contracts/event/event.ts';
import {grpcService, namespaceOf, type GrpcService} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {envelopeMessage, envelopeOf, eventField} from './envelopes.ts';

export function eventsService(bus: EventBus): GrpcService {
	return grpcService(EventsDefinition, {
		async publish({topic, event}, context) {
			const namespace = namespaceOf(context);
			if (event === undefined) {
				throw new KeelsonError('INVALID_ARGUMENT', `a request to publish ${JSON.stringify(topic.slice(0, 200))} has no event in it`);
			}
			bus.forward({timestamp: new Date(), namespace, topic, event});
			return {};
		},
		async forward({envelope}) {
			bus.forward(envelopeOf(envelope));
			return {};
		},
		async *subscribe({filters}, {signal}) {
			for await (const envelope of bus.subscribe({filters, signal, field: eventField})) {
				yield envelopeMessage(envelope);
			}
		},
	});
}

/** Where shims tell what happens to their tasks. */
export function ttrpcEventsService(bus: EventBus): GrpcService {
	return grpcService(TtrpcEventsDefinition, {
		async forward({envelope}) {
			bus.forward(envelopeOf(envelope));
			return {};
		},
	}, {ttrpc: true});
}
