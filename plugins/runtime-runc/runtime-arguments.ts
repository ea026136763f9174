import type {RuntimeCheckpoint, RuntimeCreate, RuntimeExec, RuntimeRestore} from '../../contracts/oci-runtime/oci-runtime.ts';

/** The words after the runtime's global flags; runc(8), and crun(1), which takes the same. */
export function createArguments({id, bundle, consoleSocket, pidFile, noPivotRoot = false, noNewKeyring = false}: RuntimeCreate): string[] {
	return ['create', '--bundle', bundle, '--pid-file', pidFile, ...consoleArguments(consoleSocket),
		...flag('--no-pivot', noPivotRoot), ...flag('--no-new-keyring', noNewKeyring), id];
}

export function restoreArguments(request: RuntimeRestore): string[] {
	const {id, bundle, consoleSocket, pidFile, noPivotRoot = false, imagePath, workPath} = request;
	return ['restore', '--detach', '--image-path', imagePath, '--work-path', workPath, '--bundle', bundle, '--pid-file', pidFile,
		...consoleArguments(consoleSocket), ...flag('--no-pivot', noPivotRoot), id];
}

export function execArguments({id, processFile, consoleSocket, pidFile}: RuntimeExec): string[] {
	return ['exec', '--process', processFile, '--detach', '--pid-file', pidFile, ...consoleArguments(consoleSocket), id];
}

export function checkpointArguments(id: string, request: RuntimeCheckpoint): string[] {
	const {imagePath, workPath, leaveRunning, tcpEstablished = false, externalUnixSockets = false, shellJob = false, fileLocks = false} = request;
	return ['checkpoint', '--image-path', imagePath, '--work-path', workPath,
		...flag('--leave-running', leaveRunning), ...flag('--tcp-established', tcpEstablished), ...flag('--ext-unix-sk', externalUnixSockets),
		...flag('--shell-job', shellJob), ...flag('--file-locks', fileLocks),
		...(request.emptyNamespaces ?? []).flatMap(namespace => ['--empty-ns', namespace]),
		...(request.cgroupsMode === undefined || request.cgroupsMode === '' ? [] : ['--manage-cgroups-mode', request.cgroupsMode]), id];
}

function consoleArguments(socket: string | undefined): string[] {
	return socket === undefined ? [] : ['--console-socket', socket];
}

function flag(name: string, isSet: boolean): string[] {
	return isSet ? [name] : [];
}
