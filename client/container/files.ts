import {ContainerPath} from '../../api/gen/types/transfer/container.ts';
import {ReadStream, WriteStream} from '../../api/gen/types/transfer/streaming.ts';
import type {CallOptions} from '../channel.ts';
import {receiveStream, sendStream, type ByteStream} from '../image/byte-streams.ts';
import type {Services} from '../services.ts';

export interface FilesOptions extends CallOptions {
	/** Owners are those in the container; otherwise all is root's. */
	readonly keepOwners?: boolean;
}

export interface ReadFilesOptions extends FilesOptions {
	/** Of a directory its own entry alone: to see what it is. */
	readonly noWalk?: boolean;
}

type Transferring = Pick<Services, 'transfer' | 'streaming'>;

const TAR = 'application/x-tar';

/** Hands on files of a container as a tar. Rejects with NOT_FOUND (container, path), UNIMPLEMENTED where the daemon cannot, and with what `write` throws. */
export async function readFiles(services: Transferring, place: {readonly containerId: string; readonly path: string}, write: (chunk: Uint8Array) => Promise<void>, options: ReadFilesOptions = {}): Promise<void> {
	const {keepOwners = false, noWalk = false, ...call} = options;
	await using stream = await receiveStream(services, write, call);
	const source = pathAny({...place, noWalk, preserveOwnership: keepOwners});
	const value = WriteStream.encode({stream: stream.id, mediaType: TAR}).finish();
	await both(stream, services.transfer.transfer({source, destination: {typeUrl: 'containerd.types.transfer.WriteStream', value}}, call).catch(async (error: unknown) => {
		await stream[Symbol.asyncDispose]();
		throw error;
	}));
}

/** Puts a tar's files into a directory of a container. Rejects with NOT_FOUND (container, path), FAILED_PRECONDITION (read-only), INVALID_ARGUMENT (no tar, no directory). */
export async function writeFiles(services: Transferring, place: {readonly containerId: string; readonly path: string}, bytes: AsyncIterable<Uint8Array>, options: FilesOptions = {}): Promise<void> {
	const {keepOwners = false, ...call} = options;
	await using stream = await sendStream(services, bytes, call);
	const value = ReadStream.encode({stream: stream.id, mediaType: TAR}).finish();
	const transfer = async (): Promise<void> => {
		try {
			const destination = pathAny({...place, noWalk: false, preserveOwnership: keepOwners});
			await services.transfer.transfer({source: {typeUrl: 'containerd.types.transfer.ReadStream', value}, destination}, call);
		} finally {
			await stream[Symbol.asyncDispose]();
		}
	};
	await both(stream, transfer());
}

/** What failed here says more than the transfer that lacked its bytes. */
async function both(stream: ByteStream, transfer: Promise<unknown>): Promise<void> {
	const [transferred, streamed] = await Promise.allSettled([transfer, stream.done]);
	const failure = stream.own() ?? (transferred.status === 'rejected' ? transferred.reason : undefined);
	if (failure !== undefined) {
		throw failure;
	}
	// A daemon that has all that it wants may end a stream before we have.
	void streamed;
}

function pathAny(path: ContainerPath): {typeUrl: string; value: Uint8Array} {
	return {typeUrl: 'containerd.types.transfer.ContainerPath', value: ContainerPath.encode(path).finish()};
}
