/**
 * How much of a file is there while another thread writes it. 16 bytes of shared memory:
 *
 *     0  int64   bytes that can be read
 *     8  int32   0: more may come, 1: the file is whole, 2: what was written counts no more
 *    12  int32   changes so far, to wait for
 */
export class Growth {
	readonly shared: SharedArrayBuffer;
	readonly #bytes: BigInt64Array;
	readonly #words: Int32Array;

	constructor(shared = new SharedArrayBuffer(16)) {
		this.shared = shared;
		this.#bytes = new BigInt64Array(shared, 0, 1);
		this.#words = new Int32Array(shared);
	}

	get bytes(): number {
		return Number(Atomics.load(this.#bytes, 0));
	}

	get isWhole(): boolean {
		return Atomics.load(this.#words, STATE) === WHOLE;
	}

	get isAbandoned(): boolean {
		return Atomics.load(this.#words, STATE) === ABANDONED;
	}

	/** How often anything changed; to be asked before the rest is looked at, and then waited for. */
	get changes(): number {
		return Atomics.load(this.#words, CHANGES);
	}

	reach(bytes: number): void {
		Atomics.store(this.#bytes, 0, BigInt(bytes));
		this.#tell();
	}

	/** All is written. What was abandoned stays so. */
	finish(): void {
		Atomics.compareExchange(this.#words, STATE, GROWING, WHOLE);
		this.#tell();
	}

	/** What was written will be cut or overwritten, or nobody goes on with it. What was whole stays so. */
	abandon(): void {
		Atomics.compareExchange(this.#words, STATE, GROWING, ABANDONED);
		this.#tell();
	}

	/** Resolves when there has been a change after `seen`, or after `timeoutMs`. Holds no thread up. */
	async changed(seen: number, timeoutMs: number): Promise<void> {
		await Atomics.waitAsync(this.#words, CHANGES, seen, timeoutMs).value;
	}

	#tell(): void {
		Atomics.add(this.#words, CHANGES, 1);
		Atomics.notify(this.#words, CHANGES);
	}
}

const STATE = 2;
const CHANGES = 3;
const GROWING = 0;
const WHOLE = 1;
const ABANDONED = 2;
