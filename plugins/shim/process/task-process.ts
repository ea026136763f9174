import {closeSync} from 'node:fs';
import type {ProcessExit, ProcessStatus, Stdio} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {signalProcess} from '../../../lib/sys/pidfd.ts';
import type {ProcessIo} from './process-io.ts';

/** A process of a container as the shim knows it: init, or an exec. */
export class TaskProcess {
	/** Empty for init. */
	readonly execId: string;
	readonly stdio: Stdio;
	pid = 0;
	/** Not our child but one of a shim that is gone: the pid may be another's at any time, the descriptor is its own while it is open. */
	isStranger = false;
	pidfd: number | undefined;
	/** As /proc has it; 0: not known. */
	startTime = 0;
	/** Runs, but the daemon was not told that it started: whoever asks for its start again is told that it did. */
	isStartUntold = false;
	isStdinClosed = false;
	/** It has lived long enough for the spare to hold the client's FIFO open with us. */
	isOutputHeld = false;
	status: ProcessStatus = 'created';
	io: ProcessIo | undefined;
	/** Resolves, and never rejects, when the last create or start of the process has been told to everyone, or has failed. */
	settled: Promise<unknown> = Promise.resolve();
	#exit: ProcessExit | undefined;
	readonly #exited = Promise.withResolvers<ProcessExit>();

	constructor(execId: string, stdio: Stdio) {
		this.execId = execId;
		this.stdio = stdio;
	}

	/** Undefined while it runs. */
	get exit(): ProcessExit | undefined {
		return this.#exit;
	}

	/** Resolves when it has ended, as often as asked. */
	get exited(): Promise<ProcessExit> {
		return this.#exited.promise;
	}

	/** Throws ESRCH or NOT_FOUND when it is gone. */
	signal(number: number): void {
		if (!this.isStranger) {
			// A child that we have not reaped keeps its pid.
			process.kill(this.pid, number);
		} else if (this.pidfd !== undefined) {
			signalProcess(this.pidfd, number);
		} else {
			throw new KeelsonError('NOT_FOUND', 'no such process');
		}
	}

	closeStdin(): void {
		this.io?.closeStdin();
		this.isStdinClosed = true;
	}

	/** It has ended. */
	letGo(): void {
		if (this.pidfd !== undefined) {
			closeSync(this.pidfd);
			this.pidfd = undefined;
		}
	}

	end(exit: ProcessExit): void {
		this.#exit ??= exit;
		this.status = 'stopped';
		this.#exited.resolve(this.#exit);
	}
}
