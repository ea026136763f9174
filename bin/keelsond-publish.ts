import {connect} from '../client/index.ts';
import {publishAny} from '../client/publish.ts';
import {KeelsonError} from '../kernel/errors.ts';
import {readInput} from '../lib/standard-input/read-input.ts';
import {configFrom} from './keelsond-facts.ts';
import type {Flags} from './keelsond-line.ts';

const EVENT_BYTES_MAX = 4 * 1024 * 1024;
// A shim that is told nothing by us waits no longer than this for its publisher.
const TIMEOUT_MS = 30_000;

/** Sends the event on standard input to the daemon: what containerd's shims call their `-publish-binary` for. Resolves with the exit status. */
export async function publish(flags: Flags): Promise<number> {
	const {topic = '', namespace = '', address} = flags;
	if (topic === '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'publish needs --topic');
	}
	const signal = AbortSignal.timeout(TIMEOUT_MS);
	const event = await readInput({bytesMax: EVENT_BYTES_MAX, signal});
	using client = connect(address ?? (await configFrom(flags)).daemon.grpc.address, {namespace});
	await publishAny(client.services, topic, event, {signal});
	return 0;
}
