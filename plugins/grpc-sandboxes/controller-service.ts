import {timestampOf} from '../../api/convert/timestamp.ts';
import {ControllerDefinition, type ControllerCreateRequest} from '../../api/gen/services/sandbox/v1/sandbox.ts';
import type {EventBus} from '../../contracts/event/event.ts';
import {grpcService, namespaceOf, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {SandboxRecord, SandboxStore} from '../../contracts/metadata/metadata.ts';
import type {SandboxController, Sandboxes} from '../../contracts/sandbox/sandbox.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {recordOf} from './store-service.ts';

export interface ControllerParts {
	/** By name. */
	readonly controllers: ReadonlyMap<string, SandboxController>;
	/** The one that is meant where none is named. */
	readonly sandboxer: string;
	readonly recordsFor: (context: CallContext) => SandboxStore;
	readonly events: EventBus;
}

/** Runs sandboxes by the controller that a request names, and tells of their lives as containerd does: when they are created, started, and waited for to their end. */
export function controllerService({controllers, sandboxer: byDefault, recordsFor, events}: ControllerParts): GrpcService {
	const sandboxesFor = (sandboxer: string, context: CallContext): Sandboxes => {
		const name = sandboxer || byDefault;
		const controller = controllers.get(name);
		if (controller === undefined) {
			throw new KeelsonError('NOT_FOUND', `sandbox controller ${JSON.stringify(name)}: no such controller`);
		}
		return controller.sandboxes(namespaceOf(context));
	};
	return grpcService(ControllerDefinition, {
		async create(request, context) {
			const {sandboxId, sandboxer, rootfs, options, netnsPath, annotations} = request;
			const {runtime, spec} = await recordFor(request, recordsFor(context));
			await sandboxesFor(sandboxer, context).create({
				id: sandboxId, runtime, rootfs, netnsPath, annotations, ...(spec === undefined ? {} : {spec}), ...(options === undefined ? {} : {options}),
			}, context.signal);
			events.publish(namespaceOf(context), '/sandboxes/create', {type: 'containerd.events.SandboxCreate', value: {sandboxId}});
			return {sandboxId};
		},
		async start({sandboxId, sandboxer}, context) {
			const {pid, createdAt, address, version, spec} = await sandboxesFor(sandboxer, context).start(sandboxId, context.signal);
			events.publish(namespaceOf(context), '/sandboxes/start', {type: 'containerd.events.SandboxStart', value: {sandboxId}});
			return {sandboxId, pid, createdAt: timestampOf(createdAt), labels: {}, address, version, spec};
		},
		async platform({sandboxId, sandboxer}, context) {
			const {os, architecture, variant} = await sandboxesFor(sandboxer, context).platform(sandboxId, context.signal);
			return {platform: {os, architecture, variant, osVersion: '', osFeatures: []}};
		},
		async stop({sandboxId, timeoutSecs, sandboxer}, context) {
			await sandboxesFor(sandboxer, context).stop(sandboxId, timeoutSecs * 1000, context.signal);
			return {};
		},
		async wait({sandboxId, sandboxer}, context) {
			const {exitStatus, exitedAt} = await sandboxesFor(sandboxer, context).wait(sandboxId, context.signal);
			events.publish(namespaceOf(context), '/sandboxes/exit', {type: 'containerd.events.SandboxExit', value: {sandboxId, exitStatus, exitedAt}});
			return {exitStatus, exitedAt: timestampOf(exitedAt)};
		},
		async status({sandboxId, verbose, sandboxer}, context) {
			const {pid, state, info, createdAt, exitedAt, extra, address, version} = await sandboxesFor(sandboxer, context).status(sandboxId, verbose, context.signal);
			return {
				sandboxId, pid, state, info: {...info}, extra, address, version,
				createdAt: createdAt === undefined ? undefined : timestampOf(createdAt), exitedAt: exitedAt === undefined ? undefined : timestampOf(exitedAt),
			};
		},
		async shutdown({sandboxId, sandboxer}, context) {
			await sandboxesFor(sandboxer, context).shutdown(sandboxId, context.signal);
			return {};
		},
		async update({sandboxId, sandboxer, sandbox, fields}, context) {
			const {runtime, spec, labels, extensions} = recordOf(sandbox);
			await sandboxesFor(sandboxer, context).update(sandboxId, {runtime, labels, extensions, ...(spec === undefined ? {} : {spec})}, fields, context.signal);
			return {};
		},
		async metrics({sandboxId, sandboxer}, context) {
			const {timestamp, data} = await sandboxesFor(sandboxer, context).metrics(sandboxId, context.signal);
			return {metrics: {timestamp: timestampOf(timestamp), id: sandboxId, data}};
		},
	}, {waits: ['Wait']});
}

/** What the request says of the sandbox, which clients before containerd 2.0 do not: then its record. */
async function recordFor({sandboxId, sandbox}: ControllerCreateRequest, records: SandboxStore): Promise<Pick<SandboxRecord, 'runtime' | 'spec'>> {
	if (sandbox !== undefined) {
		return recordOf(sandbox);
	}
	try {
		return await records.get(sandboxId);
	} catch (error) {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
		return {runtime: {name: ''}};
	}
}
