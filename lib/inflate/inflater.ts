import {KeelsonError} from '../../kernel/errors.ts';
import {allocateFixed, type FixedBytes} from '../sys/libc.ts';

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
	/** Reads on from a place; undefined at the end. Rejects soon after `signal` is aborted where it waits. */
	read(buffer: Buffer, at: number, signal?: AbortSignal): Promise<Buffer | undefined>;
}

export interface InflaterOptions {
	readonly open: () => Decoder;
	/** So many are read at once, at most. */
	readonly inputBytes: number;
	/** So many are handed on at once, at most. */
	readonly outputBytes: number;
}

/**
 * Inflates members and frames, one after another, and hands on what they hold; bytes are valid during the call only. What follows the last one must be another: anything
 * else is refused, as containerd's decoders do. Rejects with DATA_LOSS for that, where bytes are damaged, where a member is cut short or there is none; and with what the
 * source and `use` reject with.
 *
 * Within: all in the caller's thread, where a piece stays in the processor's caches until it is used.
 */
export async function inflateWithin(source: Source, {open, inputBytes, outputBytes}: InflaterOptions, use: (bytes: Buffer) => void): Promise<void> {
	using decoder = open();
	using memories = new DisposableStack();
	const input = memories.adopt(allocate(inputBytes), release);
	const output = memories.adopt(allocate(outputBytes), release);
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

/**
 * Beside: pieces are inflated on a thread of the pool while the caller uses the ones before, and `digest`, if there is one, takes them on another. Some are inflated ahead, since what takes long to
 * inflate and what takes long to use do not come in turn; what is used is handed on in parts, and between them the other threads get their next piece.
 */
export async function inflateBeside(source: Source, {open, inputBytes, outputBytes, digest}: InflaterOptions & {readonly digest?: Digest}, use: (bytes: Buffer) => void): Promise<void> {
	using decoder = open();
	await using pieces = new Pieces(outputBytes, digest);
	pieces.make(async signal => inflatePieces(source, {decoder, inputBytes, pieces, signal}));
	for (let piece = await pieces.next(); piece !== undefined; piece = await pieces.next()) {
		for (let at = 0; at < piece.made; at += partBytes) {
			use(piece.memory.bytes.subarray(at, Math.min(at + partBytes, piece.made)));
			await turn();
		}
		pieces.used(piece);
	}
	await pieces.digested();
}

interface Making {
	readonly decoder: Decoder;
	readonly inputBytes: number;
	readonly pieces: Pieces;
	readonly signal: AbortSignal;
}

async function inflatePieces(source: Source, {decoder, inputBytes, pieces, signal}: Making): Promise<void> {
	using memories = new DisposableStack();
	const input = memories.adopt(allocate(inputBytes), release);
	const members = new Members(decoder);
	for (let at = 0, bytes = await source.read(input.bytes, at, signal); bytes !== undefined; bytes = await source.read(input.bytes, at, signal)) {
		at += bytes.length;
		for (let from = 0, isFull = false; from < bytes.length || isFull;) {
			const memory = await pieces.room();
			members.begin();
			const step = await decoder.stepBeside(placeOf(input, from, bytes.length, memory));
			from += step.taken;
			isFull = members.end(step, from < bytes.length, memory.bytes.length);
			pieces.add(memory, step.made);
		}
	}
	members.finish();
}

interface Piece {
	readonly memory: FixedBytes;
	readonly made: number;
	/** Settles when the digest has taken it. */
	readonly digested: Promise<void>;
}

/** Pieces on their way from who makes them to who uses them, in order, and the memory that they take turns in. Disposed of once nobody touches it any more. */
class Pieces implements AsyncDisposable {
	readonly #outputBytes: number;
	readonly #digest: Digest | undefined;
	readonly #stop = new AbortController();
	readonly #ready: Piece[] = [];
	readonly #memories: FixedBytes[] = [];
	readonly #free: FixedBytes[] = [];
	#making: Promise<void> = Promise.resolve();
	#isMade = false;
	#digesting: Promise<void> = Promise.resolve();
	#changed = Promise.withResolvers<void>();

	constructor(outputBytes: number, digest: Digest | undefined) {
		this.#outputBytes = outputBytes;
		this.#digest = digest;
	}

	/** Starts what adds pieces until it resolves; `signal` tells it that nobody wants more. What it rejects with, `next` rejects with, after the pieces before. */
	make(work: (signal: AbortSignal) => Promise<void>): void {
		this.#making = work(this.#stop.signal).finally(() => {
			this.#isMade = true;
			this.#tell();
		});
		this.#making.catch(() => undefined);
	}

	/** Memory for the next piece, as soon as there is some; rejects once nobody wants more. */
	async room(): Promise<FixedBytes> {
		for (;;) {
			this.#stop.signal.throwIfAborted();
			const free = this.#free.pop();
			if (free !== undefined) {
				return free;
			}
			if (this.#memories.length < piecesMax) {
				const memory = allocate(this.#outputBytes);
				this.#memories.push(memory);
				return memory;
			}
			await this.#changed.promise;
		}
	}

	add(memory: FixedBytes, made: number): void {
		if (made === 0) {
			this.#free.push(memory);
			return;
		}
		const digest = this.#digest;
		if (digest !== undefined) {
			this.#digesting = this.#digesting.then(async () => digest.update(BigInt(memory.address), made));
			this.#digesting.catch(() => undefined);
		}
		this.#ready.push({memory, made, digested: this.#digesting});
		this.#tell();
	}

	/** The next piece; undefined after the last. */
	async next(): Promise<Piece | undefined> {
		for (;;) {
			const piece = this.#ready.shift();
			if (piece !== undefined) {
				return piece;
			}
			if (this.#isMade) {
				await this.#making;
				return undefined;
			}
			await this.#changed.promise;
		}
	}

	/** Its memory is free, once the digest has taken it. */
	used({memory, digested}: Piece): void {
		const free = (): void => {
			this.#free.push(memory);
			this.#tell();
		};
		digested.then(free, free);
	}

	/** Resolves when the digest has taken all. */
	async digested(): Promise<void> {
		await this.#digesting;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort();
		this.#tell();
		await this.#making.catch(() => undefined);
		await this.#digesting.catch(() => undefined);
		this.#memories.forEach(release);
	}

	#tell(): void {
		this.#changed.resolve();
		this.#changed = Promise.withResolvers<void>();
	}
}

/** Lets this thread hear of what others have done. */
async function turn(): Promise<void> {
	return new Promise(resolve => setImmediate(resolve));
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

/** Memory of one layer: so many pieces are on their way at once. */
const piecesMax = 4;
/** So many bytes are used at once: as long as two threads may wait for this one to hear of them, a millisecond or less. */
const partBytes = 256 * 1024;

/** So much memory is kept for the next layer: new memory is a page fault for each four kilobytes, which takes as long as inflating them. */
const sparesMax = piecesMax + 1;
const spares: FixedBytes[] = [];

function allocate(size: number): FixedBytes {
	const at = spares.findIndex(({bytes}) => bytes.length === size);
	const [spare] = at === -1 ? [] : spares.splice(at, 1);
	if (spare !== undefined) {
		return spare;
	}
	return allocateFixed(size);
}

/** Nobody may touch it any more. */
function release(memory: FixedBytes): void {
	spares.push(memory);
	if (spares.length > sparesMax) {
		spares.shift();
	}
}

function placeOf(input: FixedBytes, from: number, to: number, output: FixedBytes): Place {
	return {input: BigInt(input.address + from), inputBytes: to - from, output: BigInt(output.address), outputBytes: output.bytes.length};
}
