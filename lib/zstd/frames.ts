import {KeelsonError} from '../../kernel/errors.ts';

/** The first bytes are those of a zstd frame, or of a skippable one, with which zstd:chunked and seekable files may begin. RFC 8878, 3.1. Four bytes tell. */
export function isZstd(start: Uint8Array): boolean {
	return start.length >= magicBytes && isMagic(Buffer.from(start.buffer, start.byteOffset, magicBytes).readUInt32LE());
}

/**
 * The same bytes in pieces that end where a frame does, none of them empty: Node's zstd stream takes the end of a frame within a chunk for the end of all,
 * and drops what follows without a word; it reads on where a chunk ends with its frame. Keeps nothing of them. A piece is part of the chunk that it came in.
 *
 * Rejects with DATA_LOSS where bytes follow that are no frame, where a block has no type, and where the last frame is cut short or there is none: the
 * frames' structure is looked at, what they hold is the decoder's matter.
 */
export async function* splitFrames(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
	const walk = new FrameWalk();
	for await (const chunk of bytes) {
		for (let at = 0; at < chunk.length;) {
			const end = walk.take(chunk, at);
			yield chunk.subarray(at, end);
			at = end;
		}
	}
	walk.end();
}

/** Follows frames through chunks of any size. */
class FrameWalk {
	#frame: Generator<Step, void, number> | undefined;
	#step: Step = nothing;
	/** What is left of the step, and, of one that reads, the number so far. */
	#left = 0;
	#value = 0;
	#bytes = 0;

	/** @returns where the frame ends in the chunk, or where the chunk does */
	take(chunk: Uint8Array, from: number): number {
		let at = from;
		do {
			this.#begin();
			const taken = Math.min(this.#left, chunk.length - at);
			if (this.#step.kind === 'number') {
				for (let byte = 0, shift = this.#step.bytes - this.#left; byte < taken; byte++, shift++) {
					// No shift: the highest bit of four bytes is not a sign.
					this.#value += (chunk[at + byte] ?? 0) * 256 ** shift;
				}
			}
			this.#left -= taken;
			at += taken;
			this.#bytes += taken;
			this.#advance();
		} while (at < chunk.length && this.#frame !== undefined);
		return at;
	}

	end(): void {
		if (this.#frame !== undefined || this.#bytes === 0) {
			throw new KeelsonError('DATA_LOSS', `the zstd is cut short after ${this.#bytes} bytes`);
		}
	}

	#begin(): void {
		if (this.#frame === undefined) {
			this.#frame = walkFrame();
			this.#next();
		}
	}

	#advance(): void {
		while (this.#left === 0 && this.#frame !== undefined) {
			this.#next();
		}
	}

	#next(): void {
		try {
			const {value: step, done} = this.#frame?.next(this.#value) ?? {done: true};
			this.#step = step ?? nothing;
			this.#left = this.#step.bytes;
			this.#value = 0;
			if (done === true) {
				this.#frame = undefined;
			}
		} catch (error) {
			throw new KeelsonError('DATA_LOSS', `the zstd is damaged at byte ${this.#bytes}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
		}
	}
}

/** What comes next in a frame: a little-endian number that tells of what follows, or bytes that do not. */
interface Step {
	readonly kind: 'number' | 'other';
	readonly bytes: number;
}

/** RFC 8878, 3.1.1 and 3.1.2. */
function * walkFrame(): Generator<Step, void, number> {
	const magic = yield {kind: 'number', bytes: magicBytes};
	if (isSkippable(magic)) {
		yield {kind: 'other', bytes: yield {kind: 'number', bytes: 4}};
		return;
	}
	if (magic !== frameMagic) {
		throw new Error(`0x${magic.toString(16).padStart(8, '0')} begins no frame`);
	}
	const descriptor = yield {kind: 'number', bytes: 1};
	yield {kind: 'other', bytes: headerBytes(descriptor)};
	for (let isLast = false; !isLast;) {
		const header = yield {kind: 'number', bytes: 3};
		isLast = (header & 1) === 1;
		const type = (header >> 1) & 3;
		if (type === reservedBlock) {
			throw new Error('a block of the reserved type');
		}
		yield {kind: 'other', bytes: type === repeatedByte ? 1 : header >> 3};
	}
	if ((descriptor & hasChecksum) !== 0) {
		yield {kind: 'other', bytes: 4};
	}
}

/** What a frame's header has after its descriptor: the window, the dictionary's id and the size of what it holds, each there or not. */
function headerBytes(descriptor: number): number {
	const isSingleSegment = (descriptor & 0x20) !== 0;
	const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
	const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
	return (isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes;
}

function isMagic(magic: number): boolean {
	return magic === frameMagic || isSkippable(magic);
}

function isSkippable(magic: number): boolean {
	return magic >= 0x184d2a50 && magic <= 0x184d2a5f;
}

const magicBytes = 4;
const frameMagic = 0xfd2fb528;
const repeatedByte = 1;
const reservedBlock = 3;
const hasChecksum = 0x04;
const nothing: Step = {kind: 'other', bytes: 0};
