import {timestampOf} from '../../api/convert/timestamp.ts';
import {ContainersDefinition, type Container} from '../../api/gen/services/containers/v1/containers.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {ContainerInfo, ContainerRecord, ContainerStore} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** `containersFor` answers the containers that a call is about. */
export function containersService(containersFor: (context: CallContext) => ContainerStore): GrpcService {
	return grpcService(ContainersDefinition, {
		get: async ({id}, context) => ({container: messageOf(await containersFor(context).get(id))}),
		list: async ({filters}, context) => ({containers: (await containersFor(context).list(filters)).map(messageOf)}),
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

function messageOf(info: ContainerInfo): Container {
	const {runtime, spec, labels, extensions, createdAt, updatedAt, ...same} = info;
	return {
		...same,
		labels: {...labels},
		runtime: {name: runtime.name, options: runtime.options},
		spec,
		extensions: {...extensions},
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
