import {NamespacesDefinition, type Namespace} from '../../api/gen/services/namespaces/v1/namespace.ts';
import {grpcService, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {NamespaceInfo, NamespaceStore} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';

export function namespacesService(store: NamespaceStore): GrpcService {
	return grpcService(NamespacesDefinition, {
		get: async ({name}) => ({namespace: messageOf(await store.get(name))}),
		async list({filter}) {
			const matches = compileFilters(filter === '' ? [] : [filter]);
			const namespaces = (await store.list()).filter(each => matches(path => fieldOf(each, path)));
			return {namespaces: namespaces.map(messageOf)};
		},
		create: async ({namespace}) => ({namespace: messageOf(await store.create(recordOf(namespace)))}),
		update: async ({namespace, updateMask}) => ({namespace: messageOf(await store.update(recordOf(namespace), updateMask ?? []))}),
		async delete({name}) {
			await store.delete(name);
			return {};
		},
	});
}

function messageOf({name, labels}: NamespaceInfo): Namespace {
	return {name, labels: {...labels}};
}

function recordOf(namespace: Namespace | undefined): NamespaceInfo {
	if (namespace === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'a request about a namespace has none in it');
	}
	return namespace;
}

function fieldOf({name, labels}: NamespaceInfo, [field, ...rest]: readonly string[]): string | undefined {
	return field === 'name' ? name : field === 'labels' ? labels[rest.join('.')] : undefined;
}
