import path from 'node:path';
import {DeleteResponse} from '../../../api/gen/runtime/task/v3/shim.ts';
import type {OciRuntimes} from '../../../contracts/oci-runtime/oci-runtime.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';
import {toTimestamp} from '../protocol/timestamp.ts';
import {recordedOptions} from './container-options.ts';
import {recordedExit, recordedPid} from '../protocol/process-record.ts';
import {endOfRuntimeCalls} from './runtime-calls.ts';
import {openRuntime, unmountBelow} from './shim.ts';
import type {ShimArguments} from './shim-arguments.ts';

/** Where nobody was there to see it. */
const unknownExit = 255;

/**
 * What is done when a container's shim is gone: ends the container by force, takes its mounts away, and says how init ended, as
 * far as the bundle knows. Nothing that is missing is an error.
 */
export async function deleteContainer({namespace, id, runtimeRoot}: ShimArguments, bundle: string, runtimes: OciRuntimes): Promise<Uint8Array> {
	const runtime = openRuntime({runtimes, runtimeRoot, namespace}, bundle, recordedOptions(bundle));
	// A runtime that a killed shim had called goes on by itself: what it is about to make could not be found yet.
	await endOfRuntimeCalls([bundle]);
	await runtime.delete(id, {force: true}).catch((error: unknown) => {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
	});
	await unmountBelow(path.join(bundle, 'rootfs'));
	const {pid, exitStatus, exitedAt} = recordedExit(bundle, '') ?? {pid: recordedPid(bundle, ''), exitStatus: unknownExit, exitedAt: new Date()};
	return DeleteResponse.encode({pid, exitStatus, exitedAt: toTimestamp(exitedAt)}).finish();
}
