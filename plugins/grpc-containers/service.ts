import {timestampOf} from '../../api/convert/timestamp.ts';
import {ContainersDefinition, type Container} from '../../api/gen/services/containers/v1/containers.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {ContainerInfo, ContainerRecord, ContainerStore} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** `containersFor` answers the containers that a call is about. */
export function containersService(containersFor: (context: CallContext) => ContainerStore): GrpcService {
	return grpcService(ContainersDefinition, {
		get: async ({id}, context) => ({container: messageOf(await containersFor(context).get(id))}),
		list: async ({filters}, context) => ({containers: messagesOf(await containersFor(context).list(filters))}),
		async *listStream({filters}, context) {
			for (const container of await containersFor(context).list(filters)) {
				yield {container: messageOf(container)};
			}
		},
		create: async ({container}, context) => ({container: messageOf(await containersFor(context).create(recordOf(container)))}),
		update: async ({container, updateMask}, context) => ({container: messageOf(await containersFor(context).update(recordOf(container), updateMask ?? []))}),
		async delete({id}, context) {
			await containersFor(context).delete(id);
			return {};
		},
	});
}

/** Each is made when it is encoded, and forgotten: thousands at once would keep the collector busy. */
function messagesOf(infos: readonly ContainerInfo[]): readonly Container[] {
	const messages = {
		*[Symbol.iterator]() {
			for (const info of infos) {
				yield messageOf(info);
			}
		},
	};
	// To encode a list is to iterate it.
	return messages as unknown as readonly Container[];
}

// Each field by its name: lists have thousands.
function messageOf({id, labels, image, runtime, spec, snapshotter, snapshotKey, sandbox, extensions, createdAt, updatedAt}: ContainerInfo): Container {
	return {
		id, labels, image, spec, snapshotter, snapshotKey, sandbox, extensions,
		runtime: {name: runtime.name, options: runtime.options},
		createdAt: timestampOf(createdAt),
		updatedAt: timestampOf(updatedAt),
	};
}

function recordOf(container: Container | undefined): ContainerRecord {
	if (container === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'a request about a container has none in it');
	}
	const {id, labels, image, runtime, spec, snapshotter, snapshotKey, extensions, sandbox} = container;
	return {
		id, labels, image, snapshotter, snapshotKey, extensions, sandbox,
		runtime: {name: runtime?.name ?? '', ...(runtime?.options === undefined ? {} : {options: runtime.options})},
		...(spec === undefined ? {} : {spec}),
	};
}
