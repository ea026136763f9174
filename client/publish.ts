import {Any} from '../api/gen/google/protobuf/any.ts';
import {KeelsonError} from '../kernel/errors.ts';
import type {CallOptions} from './channel.ts';
import type {Services} from './services.ts';

/**
 * Publishes an event whose body is a marshalled google.protobuf.Any, as containerd's shims hand it to `containerd publish`. Rejects with
 * INVALID_ARGUMENT for bytes that are none, and with what the daemon answers: FAILED_PRECONDITION without a namespace.
 */
export async function publishAny(services: Pick<Services, 'events'>, topic: string, bytes: Uint8Array, options: CallOptions = {}): Promise<void> {
	await services.events.publish({topic, event: decode(bytes)}, options);
}

function decode(bytes: Uint8Array): Any {
	try {
		return Any.decode(bytes);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `an event of ${bytes.byteLength} bytes is no google.protobuf.Any`, {cause: error});
	}
}
