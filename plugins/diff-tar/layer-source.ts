import {readSync} from 'node:fs';
import {Growth} from '../../contracts/content/growth.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** What a job tells of its waiting. */
export interface WaitControl {
	/** Throws once the job is cancelled. */
	readonly check: () => void;
	/** Nothing comes for some time: others may have the thread meanwhile. False when something came again. */
	readonly starving: (isStarving: boolean) => void;
}

/** So long a job is looked at again whatever happens, that it may be cancelled. */
const waitMs = 250;

/** A layer's compressed bytes in a file, which may still be written: then whoever reads faster than that waits, and its thread is free. */
export class LayerSource {
	readonly fd: number;
	readonly #growth: Growth | undefined;
	readonly #control: WaitControl;

	constructor(fd: number, growth: SharedArrayBuffer | undefined, control: WaitControl) {
		this.fd = fd;
		this.#growth = growth === undefined ? undefined : new Growth(growth);
		this.#control = control;
	}

	/** Rejects with ABORTED where what was read counts no more. */
	check(): void {
		this.#control.check();
		if (this.#growth?.isAbandoned === true) {
			throw new KeelsonError('ABORTED', 'the bytes of a layer were given up while it was applied');
		}
	}

	/** Resolves when there is more than `at` bytes, or all. Rejects as check does, and soon after `signal` is aborted. */
	async beyond(at: number, signal?: AbortSignal): Promise<void> {
		const growth = this.#growth;
		if (growth === undefined) {
			return;
		}
		let isStarving = false;
		try {
			for (;;) {
				const {changes} = growth;
				this.check();
				signal?.throwIfAborted();
				if (growth.bytes > at || growth.isWhole) {
					return;
				}
				const waited = performance.now();
				await growth.changed(changes, waitMs);
				if (!isStarving && performance.now() - waited >= waitMs) {
					isStarving = true;
					this.#control.starving(true);
				}
			}
		} finally {
			if (isStarving) {
				this.#control.starving(false);
			}
		}
	}

	/** Reads on from `at`; undefined at the end. */
	async read(buffer: Buffer, at: number, signal?: AbortSignal): Promise<Buffer | undefined> {
		await this.beyond(at, signal);
		// A pipe has no positions, and does not grow.
		const length = this.#growth === undefined ? readSync(this.fd, buffer) : readSync(this.fd, buffer, 0, Math.min(buffer.length, this.#growth.bytes - at), at);
		return length === 0 ? undefined : buffer.subarray(0, length);
	}
}
