import {timestampOf} from '../../api/convert/timestamp.ts';
import {StoreDefinition} from '../../api/gen/services/sandbox/v1/sandbox.ts';
import type {Sandbox} from '../../api/gen/types/sandbox.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {SandboxInfo, SandboxRecord, SandboxStore} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** `recordsFor` answers the sandboxes that a call is about. */
export function storeService(recordsFor: (context: CallContext) => SandboxStore): GrpcService {
	return grpcService(StoreDefinition, {
		create: async ({sandbox}, context) => ({sandbox: messageOf(await recordsFor(context).create(recordOf(sandbox)))}),
		update: async ({sandbox, fields}, context) => ({sandbox: messageOf(await recordsFor(context).update(recordOf(sandbox), fields))}),
		async delete({sandboxId}, context) {
			await recordsFor(context).delete(sandboxId);
			return {};
		},
		list: async ({filters}, context) => ({list: (await recordsFor(context).list(filters)).map(messageOf)}),
		get: async ({sandboxId}, context) => ({sandbox: messageOf(await recordsFor(context).get(sandboxId))}),
	});
}

/** Throws INVALID_ARGUMENT where a request has none. */
export function recordOf(sandbox: Sandbox | undefined): SandboxRecord {
	if (sandbox === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'a request about a sandbox has none in it');
	}
	const {sandboxId: id, runtime, spec, labels, extensions, sandboxer} = sandbox;
	return {
		id, labels, extensions, sandboxer,
		runtime: {name: runtime?.name ?? '', ...(runtime?.options === undefined ? {} : {options: runtime.options})},
		...(spec === undefined ? {} : {spec}),
	};
}

function messageOf({id, runtime, spec, labels, createdAt, updatedAt, extensions, sandboxer}: SandboxInfo): Sandbox {
	return {
		sandboxId: id, spec, sandboxer,
		runtime: {name: runtime.name, options: runtime.options},
		labels: {...labels}, extensions: {...extensions},
		createdAt: timestampOf(createdAt), updatedAt: timestampOf(updatedAt),
	};
}
