import type {ProcessExit, ProcessStatus, Stdio} from '../../../contracts/task/task.ts';
import type {ProcessIo} from './process-io.ts';

/** A process of a container as the shim knows it: init, or an exec. */
export class TaskProcess {
	/** Empty for init. */
	readonly execId: string;
	readonly stdio: Stdio;
	pid = 0;
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

	end(exit: ProcessExit): void {
		this.#exit ??= exit;
		this.status = 'stopped';
		this.#exited.resolve(this.#exit);
	}
}
