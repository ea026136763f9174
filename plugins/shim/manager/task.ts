import type {NetworkRequest} from '../../../contracts/network/network.ts';
import type {ProcessExit, Stdio} from '../../../contracts/task/task.ts';
import type {Bundle} from './bundle.ts';
import type {LogPipe} from './log-pipe.ts';
import type {RunningShim} from './running-shim.ts';

/** A task as the daemon knows it. */
export class Task {
	readonly bundle: Bundle;
	readonly network: Omit<NetworkRequest, 'signal'> | undefined;
	/** Undefined while its shim is being looked for, or when it does not answer. */
	shim: RunningShim | undefined;
	pid = 0;
	/** As init was created with; undefined while nobody has said so since this daemon began. */
	stdio: Stdio | undefined;
	logPipe: LogPipe | undefined;
	/** The image that it is restored of is ours, unpacked beside the bundle, until it has started. */
	hasCheckpoint = false;
	/** Of an earlier daemon, and its shim is still being looked for; resolves when it was found, or is known not to answer. */
	recovering: Promise<void> | undefined;
	/** Set once it is being taken away, by a client or because its shim is gone; resolves when nothing is left. */
	leaving: Promise<void> | undefined;
	#exit: ProcessExit | undefined;
	readonly #exited = Promise.withResolvers<ProcessExit>();

	constructor(bundle: Bundle, network: Omit<NetworkRequest, 'signal'> | undefined) {
		this.bundle = bundle;
		this.network = network;
	}

	get id(): string {
		return this.bundle.id;
	}

	get namespace(): string {
		return this.bundle.namespace;
	}

	/** How init ended, when that is known. */
	get exit(): ProcessExit | undefined {
		return this.#exit;
	}

	get exited(): Promise<ProcessExit> {
		return this.#exited.promise;
	}

	/** The first that is told counts. */
	end(exit: ProcessExit): void {
		this.#exit ??= exit;
		this.#exited.resolve(this.#exit);
	}
}
