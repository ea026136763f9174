import {KeelsonError} from '../../kernel/errors.ts';
import {addressOf} from '../sys/libc.ts';

/** What one step did. */
export interface Step {
	/** Bytes of the input that are used up. */
	readonly taken: number;
	/** Bytes at the start of the output. */
	readonly made: number;
	/** A member or frame is whole: what follows begins another one. */
	readonly isWhole: boolean;
}

/** Where a step reads and writes: memory that no heap moves, and that somebody holds. */
export interface Place {
	readonly input: bigint;
	readonly inputBytes: number;
	readonly output: bigint;
	readonly outputBytes: number;
}

/** One decoder, with its state outside of the heap. Steps come one after another; they reject with DATA_LOSS where the bytes are damaged. */
export interface Decoder extends Disposable {
	step(place: Place): Step;
	/** The same on a thread of the pool. Not to be disposed before it has resolved. */
	stepBeside(place: Place): Promise<Step>;
	/** Begins the next member or frame. */
	reset(): void;
}

/** Takes what is made, one piece after another, on a thread of the pool; the bytes stay as they are until it has resolved. */
export interface Digest {
	update(address: bigint, length: number): Promise<void>;
}

/** Where compressed bytes come from. */
export interface Source {
	/** Reads on from a place; undefined at the end. */
	read(buffer: Buffer, at: number): Promise<Buffer | undefined>;
	/** There is something to read at this place, or the end: nobody will have to wait. */
	isReady(at: number): boolean;
}

export interface InflaterOptions {
	readonly open: () => Decoder;
	/** So many are read at once, at most. */
	readonly inputBytes: number;
	/** So many are handed on at once, at most. */
	readonly outputBytes: number;
}

interface Memory {
	readonly bytes: Buffer;
	readonly address: bigint;
}

/**
 * Inflates members and frames, one after another, and hands on what they hold; bytes are valid during the call only. What follows the last one must be another: anything
 * else is refused, as containerd's decoders do. Rejects with DATA_LOSS for that, where bytes are damaged, where a member is cut short or there is none; and with what the
 * source and `use` reject with.
 *
 * Within: all in the caller's thread, where a piece stays in the processor's caches until it is used.
 */
export async function inflateWithin(source: Source, {open, inputBytes, outputBytes}: InflaterOptions, use: (bytes: Buffer) => void): Promise<void> {
	const input = allocate(inputBytes);
	const output = allocate(outputBytes);
	using decoder = open();
	const members = new Members(decoder);
	for (let at = 0, bytes = await source.read(input.bytes, at); bytes !== undefined; bytes = await source.read(input.bytes, at)) {
		at += bytes.length;
		for (let from = 0, isFull = false; from < bytes.length || isFull;) {
			members.begin();
			const step = decoder.step(placeOf(input, from, bytes.length, output));
			from += step.taken;
			isFull = members.end(step, from < bytes.length, outputBytes);
			if (step.made > 0) {
				use(output.bytes.subarray(0, step.made));
			}
		}
	}
	members.finish();
}

/** Beside: the next piece is inflated on a thread of the pool while the caller uses the last one, and `digest`, if there is one, takes it on another. */
export async function inflateBeside(source: Source, {open, inputBytes, outputBytes, digest}: InflaterOptions & {readonly digest?: Digest}, use: (bytes: Buffer) => void): Promise<void> {
	const input = allocate(inputBytes);
	const outputs = [allocate(outputBytes), allocate(outputBytes)] as const;
	using decoder = open();
	await using digesting = new Digesting(digest);
	const members = new Members(decoder);
	let waiting: Buffer | undefined;
	const useWaiting = (): void => {
		const bytes = waiting;
		waiting = undefined;
		if (bytes !== undefined) {
			use(bytes);
		}
	};
	let turn = 0;
	for (let at = 0; ;) {
		if (!source.isReady(at)) {
			useWaiting();
		}
		const bytes = await source.read(input.bytes, at);
		if (bytes === undefined) {
			break;
		}
		at += bytes.length;
		for (let from = 0, isFull = false; from < bytes.length || isFull;) {
			members.begin();
			const output = outputs[turn & 1] ?? outputs[0];
			const stepping = decoder.stepBeside(placeOf(input, from, bytes.length, output));
			try {
				useWaiting();
			} finally {
				// Whatever became of the last piece: the other thread is still at this one.
				await stepping.catch(() => undefined);
			}
			const step = await stepping;
			from += step.taken;
			isFull = members.end(step, from < bytes.length, outputBytes);
			if (step.made > 0) {
				// With it the other piece is done with, and its memory that of the next.
				await digesting.next(output.address, step.made);
				waiting = output.bytes.subarray(0, step.made);
				turn++;
			}
		}
	}
	useWaiting();
	members.finish();
	await digesting.last();
}

/** Pieces given to a digest one after another. Disposed of once it has let go of the last one. */
class Digesting implements AsyncDisposable {
	readonly #digest: Digest | undefined;
	#last: Promise<void> = Promise.resolve();

	constructor(digest: Digest | undefined) {
		this.#digest = digest;
	}

	/** Resolves when the piece before has been taken. */
	async next(address: bigint, length: number): Promise<void> {
		await this.#last;
		if (this.#digest !== undefined) {
			this.#last = this.#digest.update(address, length);
			// Told where it is waited for.
			this.#last.catch(() => undefined);
		}
	}

	async last(): Promise<void> {
		await this.#last;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#last.catch(() => undefined);
	}
}

/** Members or frames one after another. */
class Members {
	readonly #decoder: Decoder;
	#isWhole = false;

	constructor(decoder: Decoder) {
		this.#decoder = decoder;
	}

	/** Before a step. */
	begin(): void {
		if (this.#isWhole) {
			this.#decoder.reset();
			this.#isWhole = false;
		}
	}

	/** After it. @returns whether there may be more without more input */
	end({taken, made, isWhole}: Step, hasMore: boolean, outputBytes: number): boolean {
		this.#isWhole = isWhole;
		if (made === 0 && taken === 0 && !isWhole && hasMore) {
			throw damaged('its bytes lead nowhere');
		}
		return !isWhole && made === outputBytes;
	}

	finish(): void {
		if (!this.#isWhole) {
			throw damaged('it is cut short');
		}
	}
}

export function damaged(why: string): KeelsonError {
	return new KeelsonError('DATA_LOSS', `the compressed bytes are damaged: ${why}`);
}

function allocate(size: number): Memory {
	const bytes = Buffer.allocUnsafeSlow(size);
	return {bytes, address: addressOf(bytes)};
}

function placeOf(input: Memory, from: number, to: number, output: Memory): Place {
	return {input: input.address + BigInt(from), inputBytes: to - from, output: output.address, outputBytes: output.bytes.length};
}
