import {SandboxDefinition} from '../../../api/gen/runtime/sandbox/v1/sandbox.ts';
import type {TtrpcService} from '../../../lib/ttrpc/service.ts';
import {ttrpcService, type TypedHandlers} from '../../../lib/ttrpc/typed-service.ts';
import {sandboxState} from '../protocol/sandbox-state.ts';
import {toTimestamp} from '../protocol/timestamp.ts';
import {inClassWords} from './class-words.ts';
import type {ShimSandboxes} from './sandboxes.ts';

/** The sandbox service. `empty` is called when a sandbox has been shut down. What a sandbox uses is what its containers use: it has nothing of its own. */
export function sandboxService(sandboxes: ShimSandboxes, empty: () => void): TtrpcService {
	const handlers: TypedHandlers<SandboxDefinition> = {
		createSandbox: ({sandboxId, netnsPath, bundlePath}) => {
			sandboxes.create(sandboxId, {netnsPath, bundle: bundlePath});
			return {};
		},
		startSandbox: ({sandboxId}) => ({pid: process.pid, createdAt: toTimestamp(sandboxes.start(sandboxId).createdAt)}),
		platform: ({sandboxId}) => {
			const {os, architecture, variant} = sandboxes.platform(sandboxId);
			return {platform: {os, architecture, variant, osVersion: '', osFeatures: []}};
		},
		stopSandbox: async ({sandboxId, timeoutSecs}) => {
			await sandboxes.stop(sandboxId, timeoutSecs * 1000);
			return {};
		},
		waitSandbox: async ({sandboxId}) => ({exitStatus: 0, exitedAt: toTimestamp(await sandboxes.wait(sandboxId))}),
		sandboxStatus: ({sandboxId, verbose}) => {
			const {createdAt, exitedAt, isStarted, netnsPath} = sandboxes.get(sandboxId);
			return {
				sandboxId, pid: process.pid, createdAt: toTimestamp(createdAt), exitedAt: exitedAt === undefined ? undefined : toTimestamp(exitedAt),
				state: isStarted && exitedAt === undefined ? sandboxState.ready : sandboxState.notReady,
				info: verbose ? {netns_path: netnsPath} : {},
			};
		},
		pingSandbox: ({sandboxId}) => {
			sandboxes.get(sandboxId);
			return {};
		},
		shutdownSandbox: ({sandboxId}) => {
			sandboxes.shutdown(sandboxId);
			empty();
			return {};
		},
		sandboxMetrics: async ({sandboxId}) => {
			const data = await sandboxes.stats(sandboxId);
			return {metrics: {timestamp: toTimestamp(new Date()), id: sandboxId, data}};
		},
	};
	return ttrpcService(SandboxDefinition, inClassWords(handlers));
}
