import {setTimeout as sleep} from 'node:timers/promises';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';

export interface ShimPulseOptions {
	/** Asks the shim anything, for at most so many milliseconds. An error that is an answer is one. */
	readonly ping: (timeoutMs: number) => Promise<void>;
	/** A shim that has been asked and says nothing for so long is in quarantine. */
	readonly silenceMs: number;
	/** Told once when it enters quarantine, and once when it leaves. */
	readonly told: (isQuarantined: boolean, silentMs: number) => void;
	/** Resolves when there is no shim any more. */
	readonly closed: Promise<void>;
}

/** Somebody who was heard just now need not be asked whether he is there. */
const freshMs = 1000;
/** How long a create waits for a shim that it could do without. */
const patienceMs = 1000;
const probeEveryMs = 1000;

/**
 * Whether a shim answers. One that is stopped or wedged keeps its connection, and would keep whoever asks it for as long as the call may take: it is put into quarantine,
 * where calls to it fail at once, new containers go elsewhere, and it is asked again and again until it answers.
 */
export class ShimPulse {
	readonly #options: ShimPulseOptions;
	readonly #over = new AbortController();
	#heardMs = performance.now();
	#asking = 0;
	#look: NodeJS.Timeout | undefined;
	#checking: Promise<boolean> | undefined;
	/** Rejects when quarantine begins. */
	#quarantine = silentPromise();
	/** Resolves when quarantine ends; undefined outside of it. */
	#healthy: PromiseWithResolvers<void> | undefined;

	constructor(options: ShimPulseOptions) {
		this.#options = options;
		void options.closed.then(() => {
			this.#over.abort();
			clearInterval(this.#look);
			this.#healthy?.resolve();
		});
	}

	get isQuarantined(): boolean {
		return this.#healthy !== undefined;
	}

	/** It was heard of a moment ago. */
	get isFresh(): boolean {
		return !this.isQuarantined && performance.now() - this.#heardMs < freshMs;
	}

	/** Asks; resolves when it has answered, which may be after a quarantine, or is gone. */
	async answersAgain(): Promise<void> {
		if (!await this.#check()) {
			await this.#healthy?.promise;
		}
	}

	/** Does work that asks the shim. Rejects as the work does; with DEADLINE_EXCEEDED at once in quarantine, and when the shim is put there meanwhile. */
	async guard<T>(work: () => Promise<T>): Promise<T> {
		if (this.isQuarantined) {
			throw this.#silent();
		}
		this.#asking++;
		this.#look ??= setInterval(() => {
			if (performance.now() - this.#heardMs >= this.#options.silenceMs) {
				void this.#check();
			}
		}, this.#options.silenceMs).unref();
		try {
			const result = await Promise.race([work(), this.#quarantine.promise]);
			this.#heardMs = performance.now();
			return result;
		} catch (error) {
			if (!isKeelsonError(error, 'DEADLINE_EXCEEDED') && !isKeelsonError(error, 'CANCELLED') && !isKeelsonError(error, 'UNAVAILABLE')) {
				this.#heardMs = performance.now();
			} else if (isKeelsonError(error, 'DEADLINE_EXCEEDED')) {
				void this.#check();
			}
			throw error;
		} finally {
			this.#asking--;
			if (this.#asking === 0) {
				clearInterval(this.#look);
				this.#look = undefined;
			}
		}
	}

	/** Whether it answers soon enough to be given more to do. */
	async answers(): Promise<boolean> {
		if (this.isQuarantined || this.isFresh) {
			return this.isFresh;
		}
		return Promise.race([this.#check(), sleep(patienceMs, false, {ref: false})]);
	}

	async #check(): Promise<boolean> {
		this.#checking ??= this.#ping().finally(() => {
			this.#checking = undefined;
		});
		return this.#checking;
	}

	async #ping(): Promise<boolean> {
		const {ping, silenceMs} = this.#options;
		try {
			await ping(silenceMs);
		} catch (error) {
			if (isKeelsonError(error, 'DEADLINE_EXCEEDED')) {
				this.#enter();
				return false;
			}
			if (isKeelsonError(error, 'UNAVAILABLE') || isKeelsonError(error, 'CANCELLED')) {
				// It is gone, which is another's to see.
				return false;
			}
		}
		this.#heardMs = performance.now();
		return true;
	}

	#enter(): void {
		if (this.isQuarantined || this.#over.signal.aborted) {
			return;
		}
		this.#healthy = Promise.withResolvers();
		this.#options.told(true, performance.now() - this.#heardMs);
		this.#quarantine.reject(this.#silent());
		this.#quarantine = silentPromise();
		void this.#untilItAnswers();
	}

	async #untilItAnswers(): Promise<void> {
		const {signal} = this.#over;
		const since = this.#heardMs;
		while (!signal.aborted) {
			await sleep(probeEveryMs, undefined, {signal, ref: false}).catch(() => undefined);
			if (!signal.aborted && await this.#ping()) {
				break;
			}
		}
		const healthy = this.#healthy;
		this.#healthy = undefined;
		if (!signal.aborted) {
			this.#options.told(false, performance.now() - since);
		}
		healthy?.resolve();
	}

	#silent(): KeelsonError {
		return new KeelsonError('DEADLINE_EXCEEDED', `the shim is in quarantine: it has not answered for ${Math.round((performance.now() - this.#heardMs) / 1000)} s`);
	}
}

// Nobody may be listening when it rejects.
function silentPromise(): PromiseWithResolvers<never> {
	const resolvers = Promise.withResolvers<never>();
	resolvers.promise.catch(() => undefined);
	return resolvers;
}
