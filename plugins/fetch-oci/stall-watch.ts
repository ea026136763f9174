/** Says when nothing came for too long. One timer looks at a time that each read moves: many come in a millisecond. */
export class StallWatch {
	readonly #timeoutMs: number;
	readonly #onStall: (error: Error) => void;
	#timer: NodeJS.Timeout | undefined;
	#cameAt = 0;
	#isPaused = false;

	constructor(timeoutMs: number, onStall: (error: Error) => void) {
		this.#timeoutMs = timeoutMs;
		this.#onStall = onStall;
	}

	begin(): void {
		this.came();
		this.#look();
	}

	came(): void {
		this.#cameAt = performance.now();
	}

	/** Nobody wants anything. */
	pause(): void {
		this.#isPaused = true;
	}

	resume(): void {
		this.#isPaused = false;
		this.came();
	}

	stop(): void {
		clearTimeout(this.#timer);
	}

	#look(): void {
		const leftMs = this.#isPaused ? this.#timeoutMs : this.#cameAt + this.#timeoutMs - performance.now();
		if (leftMs > 0) {
			this.#timer = setTimeout(() => this.#look(), Math.ceil(leftMs));
		} else {
			this.#onStall(new Error(`body timeout: nothing came for ${this.#timeoutMs} ms`));
		}
	}
}
