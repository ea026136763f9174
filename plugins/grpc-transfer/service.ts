import {TransferDefinition} from '../../api/gen/services/transfer/v1/transfer.ts';
import {grpcService, leaseOf, namespaceOf, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {StreamManager} from '../../contracts/stream/stream.ts';
import type {Transfer} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {openEnd} from './ends.ts';
import {ProgressSender} from './progress.ts';

export interface TransferParts {
	readonly transfer: Transfer;
	readonly streams: StreamManager;
}

export function transferService({transfer, streams}: TransferParts): GrpcService {
	return grpcService(TransferDefinition, {
		async transfer({source, destination, options}, context) {
			if (source === undefined || destination === undefined) {
				throw new KeelsonError('INVALID_ARGUMENT', `a transfer needs source and destination, ${source === undefined ? 'source' : 'destination'} is missing`);
			}
			const {signal} = context;
			const namespace = namespaceOf(context);
			const lease = leaseOf(context);
			await using lifetime = new AsyncDisposableStack();
			const open = async (id: string) => lifetime.use(await streams.get(namespace, id, signal));
			const opening = {open, signal, hold: (resource: AsyncDisposable) => void lifetime.use(resource)};
			const ends = {source: await openEnd(source, 'source', opening), destination: await openEnd(destination, 'destination', opening)};
			const id = options?.progressStream ?? '';
			const sender = id === '' ? undefined : lifetime.use(new ProgressSender(await open(id), signal));
			await transfer.transfer({
				namespace, signal, ...ends,
				...(lease === undefined ? {} : {lease}),
				...(sender === undefined ? {} : {progress: progress => sender.tell(progress)}),
			});
			return {};
		},
	});
}
