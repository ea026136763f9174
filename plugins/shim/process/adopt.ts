import {isKeelsonError} from '../../../kernel/errors.ts';
import {isTold, recordedExecs, recordedExit, recordedPid, recordedProcess, type ProcessRecord} from '../protocol/process-record.ts';
import {heldKey} from '../protocol/spare-service.ts';
import {ShimContainer} from './container.ts';
import {recordedOptions} from './container-options.ts';
import type {HeldProcess} from './held-process.ts';
import type {ChildExit} from './reaper.ts';
import {hasOwnPidNamespace, openRuntime, readSpec, stdioModeOf, type ShimPlace} from './shim.ts';
import {openStranger, strangeExit} from './strange-exit.ts';
import {TaskProcess} from './task-process.ts';

export interface Heir {
	readonly id: string;
	readonly bundle: string;
	/** What the spare holds of the shim that is gone, by `heldKey`. What is not taken out is closed by the caller. */
	readonly held: ReadonlyMap<string, HeldProcess>;
}

/** Where nobody was there to see it. */
const unknownExit = 255;

/**
 * Takes up a container whose shim is gone, by what its bundle says and the spare has held: from now on it is as if this shim had made it, but for
 * being its parent. What the daemon was not told is told. Undefined where the bundle has no record that it was ever made.
 */
export async function adoptContainer({id, bundle, held}: Heir, place: ShimPlace): Promise<ShimContainer | undefined> {
	const record = recordedProcess(bundle, '');
	if (record === undefined) {
		return undefined;
	}
	const options = recordedOptions(bundle);
	const spec = readSpec(bundle);
	const {checkpoint = ''} = record;
	const setup = {
		id, bundle, stdio: record.stdio, options, checkpoint, stdioMode: stdioModeOf(spec, place.stdio), hasPoststopHooks: (spec.hooks?.poststop?.length ?? 0) > 0,
		hasOwnPidNamespace: hasOwnPidNamespace(spec),
	};
	const runtime = openRuntime(place, bundle, options);
	const container = new ShimContainer(setup, runtime, place);
	const status = await runtime.state(id).then(state => state.status, (error: unknown) => {
		// Its checkpoint is still to be restored; or it was taken away already, and waits for its delete to be asked for once more.
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return checkpoint === '' ? 'stopped' : 'created';
		}
		throw error;
	});
	container.init.status = status === 'paused' || status === 'created' ? status : 'running';
	container.init.isStartUntold = status !== 'created' && !isTold(bundle, '', 'start');
	if (checkpoint !== '' && status === 'created') {
		// Nothing of its streams is anybody's yet.
		container.init.io = await place.io.open(record.stdio, container.ioRequest(''));
		if (record.isStdinClosed) {
			container.init.closeStdin();
		}
	} else {
		await adoptProcess(container, container.init, {...record, pid: record.pid || recordedPid(bundle, '')}, {held, place});
	}
	for (const execId of recordedExecs(bundle)) {
		const exec = recordedProcess(bundle, execId);
		if (exec !== undefined) {
			const process = new TaskProcess(execId, exec.stdio);
			container.execs.set(execId, process);
			// The shim may have been killed before it could write the pid down; the runtime has.
			const pid = exec.pid || recordedPid(bundle, execId);
			process.status = pid === 0 ? 'created' : 'running';
			process.isStartUntold = pid !== 0 && !isTold(bundle, execId, 'start');
			await adoptProcess(container, process, {...exec, pid}, {held, place});
		}
	}
	return container;
}

async function adoptProcess(
	container: ShimContainer, process: TaskProcess, {pid, startTime, isStdinClosed}: ProcessRecord, {held, place}: {readonly held: Heir['held']; readonly place: ShimPlace},
): Promise<void> {
	const {setup: {id, bundle}} = container;
	const {execId, stdio} = process;
	process.isStdinClosed = isStdinClosed;
	if (pid === 0) {
		return;
	}
	process.pid = pid;
	process.isStranger = true;
	process.startTime = startTime;
	const known = recordedExit(bundle, execId);
	if (known !== undefined && isTold(bundle, execId, 'exit')) {
		process.isStartUntold = false;
		process.end(known);
		return;
	}
	const ours = held.get(heldKey(id, execId));
	const stranger = {pid, startTime};
	process.pidfd = known === undefined ? ours?.take('pidfd') ?? openStranger(stranger) : undefined;
	process.io = await place.io.adopt(stdio, container.ioRequest(execId), {held: ours, isStdinClosed});
	if (execId === '') {
		container.account(pid);
	}
	container.follow(process, pid, known === undefined ? exitOf(process, stranger, place) : Promise.resolve(known));
}

async function exitOf({pidfd}: TaskProcess, stranger: {readonly pid: number; readonly startTime: number}, {watcher, log}: ShimPlace): Promise<ChildExit> {
	if (pidfd === undefined) {
		log(`process ${stranger.pid} has ended while nobody was there to see it: how is unknown`);
		return {exitStatus: unknownExit, exitedAt: new Date()};
	}
	return strangeExit(pidfd, stranger, {watcher, log});
}
