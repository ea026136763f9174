import {timestampOf} from '../../api/convert/timestamp.ts';
import {Kind, SnapshotsDefinition, type Info} from '../../api/gen/services/snapshots/v1/snapshots.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {SnapshotInfo, SnapshotKind, Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** How many snapshots one message of List carries; containerd's number. */
const BATCH = 100;

const KINDS = {view: Kind.VIEW, active: Kind.ACTIVE, committed: Kind.COMMITTED} as const satisfies Record<SnapshotKind, Kind>;

/** `snapshotterFor` answers the snapshotter of that name, as the caller sees it; it throws where there is none. */
export function snapshotsService(snapshotterFor: (context: CallContext, name: string) => Snapshotter): GrpcService {
	const named = (context: CallContext, {snapshotter}: {readonly snapshotter: string}): Snapshotter => {
		if (snapshotter === '') {
			throw new KeelsonError('INVALID_ARGUMENT', 'snapshotter argument missing');
		}
		return snapshotterFor(context, snapshotter);
	};
	return grpcService(SnapshotsDefinition, {
		async prepare(request, context) {
			const {key, parent, labels} = request;
			return {mounts: await named(context, request).prepare(key, parent, {labels, signal: context.signal})};
		},
		async view(request, context) {
			const {key, parent, labels} = request;
			return {mounts: await named(context, request).view(key, parent, {labels, signal: context.signal})};
		},
		mounts: async (request, context) => ({mounts: await named(context, request).mounts(request.key)}),
		async commit(request, context) {
			const {name, key, labels, parent} = request;
			await named(context, request).commit(name, key, {labels, signal: context.signal, ...(parent === '' ? {} : {parent})});
			return {};
		},
		async remove(request, context) {
			await named(context, request).remove(request.key);
			return {};
		},
		stat: async (request, context) => ({info: messageOf(await named(context, request).stat(request.key))}),
		async update(request, context) {
			const {info, updateMask} = request;
			if (info === undefined) {
				throw new KeelsonError('INVALID_ARGUMENT', 'an update of a snapshot has none in it');
			}
			return {info: messageOf(await named(context, request).update(info.name, info.labels, updateMask ?? []))};
		},
		async *list(request, context) {
			let batch: Info[] = [];
			for await (const info of named(context, request).list(request.filters, context.signal)) {
				batch.push(messageOf(info));
				if (batch.length === BATCH) {
					yield {info: batch};
					batch = [];
				}
			}
			if (batch.length > 0) {
				yield {info: batch};
			}
		},
		async usage(request, context) {
			const {size, inodes} = await named(context, request).usage(request.key, context.signal);
			return {size: BigInt(size), inodes: BigInt(inodes)};
		},
		async cleanup(request, context) {
			await named(context, request).cleanup(context.signal);
			return {};
		},
	});
}

function messageOf({name, parent, kind, createdAt, updatedAt, labels}: SnapshotInfo): Info {
	return {name, parent, kind: KINDS[kind], createdAt: timestampOf(createdAt), updatedAt: timestampOf(updatedAt), labels: {...labels}};
}
