import {timestampOf} from '../../api/convert/timestamp.ts';
import {RuntimeRequest} from '../../api/gen/types/introspection.ts';
import {IntrospectionDefinition} from '../../api/gen/services/introspection/v1/introspection.ts';
import {grpcService, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {TaskManager} from '../../contracts/task/task.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {KernelStatus} from '../../kernel/status.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import type {Deprecation} from './deprecations.ts';
import type {Identity} from './identity.ts';
import {fieldOf, pluginMessage} from './plugin-message.ts';

const RUNTIME = 'io.containerd.runtime.v2';

export interface IntrospectionParts {
	readonly status: Pick<KernelStatus, 'plugins'>;
	readonly identity: Identity;
	readonly deprecations: readonly Deprecation[];
	/** Answers what a runtime says of itself, where there are tasks. */
	readonly tasks: Pick<TaskManager, 'runtimeInfo'> | undefined;
}

export function introspectionService({status, identity, deprecations, tasks}: IntrospectionParts): GrpcService {
	// The configuration is read once.
	const lastOccurrence = timestampOf(new Date());
	return grpcService(IntrospectionDefinition, {
		async plugins({filters}) {
			const matches = compileFilters(filters);
			return {plugins: status.plugins().map(pluginMessage).filter(each => matches(path => fieldOf(each, path)))};
		},
		async server() {
			return {uuid: identity.uuid, pid: BigInt(identity.pid), pidns: identity.pidNamespace, deprecations: deprecations.map(each => ({...each, lastOccurrence}))};
		},
		async pluginInfo({type, id, options}, {signal}) {
			const found = status.plugins().find(each => each.type === type && each.name === id);
			if (found === undefined) {
				throw new KeelsonError('NOT_FOUND', `plugin ${JSON.stringify(`${type}.${id}`)}: not found`);
			}
			const plugin = pluginMessage(found);
			if (type !== RUNTIME || tasks === undefined || options === undefined) {
				return {plugin, extra: undefined};
			}
			const request = runtimeRequest(options);
			const extra = await tasks.runtimeInfo({
				runtimePath: request.runtimePath, ...(request.options === undefined ? {} : {options: request.options}),
			}, signal);
			return {plugin, extra};
		},
	});
}

function runtimeRequest({typeUrl, value}: {readonly typeUrl: string; readonly value: Uint8Array}): RuntimeRequest {
	if (typeUrl !== 'containerd.types.RuntimeRequest') {
		throw new KeelsonError('INVALID_ARGUMENT', `options are ${JSON.stringify(typeUrl)}, a runtime is asked with containerd.types.RuntimeRequest`);
	}
	try {
		return RuntimeRequest.decode(value);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `options of ${value.byteLength} bytes are no ${typeUrl}`, {cause: error});
	}
}
