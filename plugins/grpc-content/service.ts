import {bytesOf} from '../../api/convert/bytes.ts';
import {timestampOf} from '../../api/convert/timestamp.ts';
import {ContentDefinition, WriteContentResponse, type Info, type Status} from '../../api/gen/services/content/v1/content.ts';
import type {ContentInfo, ContentStore, IngestStatus} from '../../contracts/content/content.ts';
import {bidiMethod, grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import {parseDigest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {readBlob} from './read.ts';
import {writeRequestCodec} from './write-request.ts';
import {writeBlob} from './write.ts';

/** How many blobs one message of List carries; containerd's number. */
const BATCH = 100;

/** `contentFor` answers the content that a call may see. */
export function contentService(contentFor: (context: CallContext) => ContentStore): GrpcService {
	const service = grpcService(ContentDefinition, {
		info: async ({digest}, context) => ({info: infoMessage(await contentFor(context).info(parseDigest(digest)))}),
		async update({info, updateMask}, context) {
			if (info === undefined) {
				throw new KeelsonError('INVALID_ARGUMENT', 'an update of content has none in it');
			}
			return {info: infoMessage(await contentFor(context).update(parseDigest(info.digest), info.labels, updateMask ?? []))};
		},
		async *list({filters}, context) {
			let batch: Info[] = [];
			for await (const info of contentFor(context).list(filters, context.signal)) {
				batch.push(infoMessage(info));
				if (batch.length === BATCH) {
					yield {info: batch};
					batch = [];
				}
			}
			if (batch.length > 0) {
				yield {info: batch};
			}
		},
		async delete({digest}, context) {
			await contentFor(context).delete(parseDigest(digest));
			return {};
		},
		read: ({digest, offset, size}, context) => readBlob(contentFor(context), parseDigest(digest), {
			// As containerd takes them: a negative offset is the beginning, a size of 0 or less means to the end.
			offset: bytesOf(offset < 0n ? 0n : offset, 'offset'), size: bytesOf(size < 0n ? 0n : size, 'size'), signal: context.signal,
		}),
		status: async ({ref}, context) => ({status: statusMessage(await contentFor(context).status(ref))}),
		listStatuses: async ({filters}, context) => ({statuses: (await contentFor(context).statuses(filters)).map(statusMessage)}),
		async abort({ref}, context) {
			await contentFor(context).abort(ref);
			return {};
		},
	});
	const write = bidiMethod(ContentDefinition.methods.write.name, {request: writeRequestCodec, response: WriteContentResponse}, (requests, context) => writeBlob(contentFor(context), requests, context.signal));
	return {...service, methods: [...service.methods, write]};
}

function infoMessage({digest, size, createdAt, updatedAt, labels}: ContentInfo): Info {
	return {digest, size: BigInt(size), createdAt: timestampOf(createdAt), updatedAt: timestampOf(updatedAt), labels: {...labels}};
}

function statusMessage({ref, offset, total, expected, startedAt, updatedAt}: IngestStatus): Status {
	return {ref, offset: BigInt(offset), total: BigInt(total), expected: expected ?? '', startedAt: timestampOf(startedAt), updatedAt: timestampOf(updatedAt)};
}
