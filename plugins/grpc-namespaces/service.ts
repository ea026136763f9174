import {NamespacesDefinition, type Namespace} from '../../api/gen/services/namespaces/v1/namespace.ts';
import {grpcService, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {NamespaceInfo, NamespaceStore} from '../../contracts/metadata/metadata.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';

export function namespacesService(store: NamespaceStore): GrpcService {
	return grpcService(NamespacesDefinition, {
		get: async ({name}) => ({namespace: messageOf(await orElse(store.get(name), async () => ({name, labels: {}})))}),
		async list({filter}) {
			const matches = compileFilters(filter === '' ? [] : [filter]);
			const namespaces = (await store.list()).filter(each => matches(path => fieldOf(each, path)));
			return {namespaces: namespaces.map(messageOf)};
		},
		create: async ({namespace}) => ({namespace: messageOf(await store.create(recordOf(namespace)))}),
		async update({namespace, updateMask}) {
			const record = recordOf(namespace);
			return {namespace: messageOf(await orElse(store.update(record, updateMask ?? []), async () => store.create(record)))};
		},
		async delete({name}) {
			await store.delete(name);
			return {};
		},
	});
}

// As containerd has it: whoever asks for a namespace that is not there is told that it has no labels (Go's client asks for them before all else, and
// dockerd does not start without an answer), and whoever labels it has made it.
async function orElse(promise: Promise<NamespaceInfo>, missing: () => Promise<NamespaceInfo>): Promise<NamespaceInfo> {
	try {
		return await promise;
	} catch (error) {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
		return missing();
	}
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
