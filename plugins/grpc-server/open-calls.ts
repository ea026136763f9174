import {setTimeout as delay} from 'node:timers/promises';
import {KeelsonError} from '../../kernel/errors.ts';

/** One call that is being answered. Disposing it says that it is. */
export interface OpenCall extends Disposable {
	readonly signal: AbortSignal;
	readonly abort: (reason: KeelsonError) => void;
}

/** All calls that are being answered, so that a daemon that stops can end them. */
export class OpenCalls {
	readonly #calls = new Map<OpenCall, 'brief' | 'lasting'>();
	readonly #idle = Promise.withResolvers<void>();
	#stop: KeelsonError | undefined;

	/** `lasting` ones have no end of their own; once the daemon stops, a new call begins aborted. */
	open(kind: 'brief' | 'lasting'): OpenCall {
		const controller = new AbortController();
		const call: OpenCall = {
			signal: controller.signal,
			abort: reason => controller.abort(reason),
			[Symbol.dispose]: () => {
				this.#calls.delete(call);
				this.#settle();
			},
		};
		this.#calls.set(call, kind);
		if (this.#stop !== undefined) {
			controller.abort(this.#stop);
		}
		return call;
	}

	/** Aborts lasting calls now, and those that come from now on. */
	cut(): void {
		this.#stop ??= new KeelsonError('UNAVAILABLE', 'the daemon is stopping: unavailable');
		for (const [call, kind] of this.#calls) {
			if (kind === 'lasting') {
				call.abort(this.#stop);
			}
		}
		this.#settle();
	}

	/** Resolves when each call has been answered, after `graceMs` by aborting the rest. */
	async drain(graceMs: number): Promise<void> {
		this.cut();
		using timer = new TimerScope();
		await Promise.race([this.#idle.promise, timer.after(graceMs)]);
		for (const call of this.#calls.keys()) {
			call.abort(this.#stop as KeelsonError);
		}
	}

	#settle(): void {
		if (this.#stop !== undefined && this.#calls.size === 0) {
			this.#idle.resolve();
		}
	}
}

class TimerScope implements Disposable {
	readonly #controller = new AbortController();

	async after(ms: number): Promise<void> {
		await delay(ms, undefined, {signal: this.#controller.signal}).catch(() => {});
	}

	[Symbol.dispose](): void {
		this.#controller.abort();
	}
}
