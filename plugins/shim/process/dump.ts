import path from 'node:path';
import type {CheckpointOptions} from './container-options.ts';
import type {ShimContainer} from './container.ts';
import {dumpConfig, heldFilesOf, recordHeldFiles} from './held-files.ts';
import {inRuntimeWords} from './runtime-call.ts';

/** Has CRIU write a container to a directory of the host: `at`, unless the options name another. */
export async function dump({id, init, runtime, setup}: ShimContainer, at: string, options: CheckpointOptions): Promise<void> {
	const {bundle, options: {criuWorkPath}} = setup;
	const imagePath = options.imagePath || at;
	const held = await heldFilesOf(init.pid);
	await inRuntimeWords('OCI runtime checkpoint failed', runtime.checkpoint(id, {
		imagePath,
		workPath: options.workPath || criuWorkPath || workOf(bundle),
		criuConfig: await dumpConfig(bundle, held),
		leaveRunning: !options.exit,
		tcpEstablished: options.openTcp, externalUnixSockets: options.externalUnixSockets, shellJob: options.terminal, fileLocks: options.fileLocks,
		emptyNamespaces: options.emptyNamespaces, cgroupsMode: options.cgroupsMode,
	}));
	await recordHeldFiles(imagePath, held);
}

/** Where CRIU keeps what is not the image. */
export function workOf(bundle: string): string {
	return path.join(bundle, 'work');
}
