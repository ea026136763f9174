import {KeelsonError} from '../../kernel/errors.ts';

/** Kinds of frames; those of another number are skipped. */
export const FRAME = {REQUEST: 1, RESPONSE: 2, DATA: 3} as const;

/** Bits of a frame's flags. */
export const FLAG = {REMOTE_CLOSED: 1, REMOTE_OPEN: 2, NO_DATA: 4} as const;

/** The protocol's limit for the data of one frame. */
export const dataBytesMax = 4 * 1024 * 1024;

const headerBytes = 10;

export interface Frame {
	readonly streamId: number;
	readonly type: number;
	readonly flags: number;
	readonly data: Uint8Array;
	/** The length that was announced, when it was over the limit: the data was skipped and is empty. */
	readonly oversizedBytes?: number;
}

// 0           4           8      9       10
// | data, u32 | id, u32   | type | flags | data ...      big endian
/** Rejects with RESOURCE_EXHAUSTED when the data is over the limit. */
export function encodeFrame({streamId, type, flags, data}: Frame, limit = dataBytesMax): Buffer {
	if (data.length > limit) {
		throw oversized(data.length, limit);
	}
	const frame = Buffer.allocUnsafe(headerBytes + data.length);
	frame.writeUInt32BE(data.length, 0);
	frame.writeUInt32BE(streamId, 4);
	frame.writeUInt8(type, 8);
	frame.writeUInt8(flags, 9);
	frame.set(data, headerBytes);
	return frame;
}

export function oversized(bytes: number, limit: number): KeelsonError {
	return new KeelsonError('RESOURCE_EXHAUSTED', `ttrpc: message of ${bytes} bytes, at most ${limit}`);
}

/**
 * Cuts bytes into frames; keeps at most one frame in memory. A frame over the limit is skipped and told of. Rejects with DATA_LOSS
 * when the bytes end within a frame, or a length has its reserved first byte set: then nothing that follows can be trusted.
 */
export async function* readFrames(bytes: AsyncIterable<Uint8Array>, limit = dataBytesMax): AsyncGenerator<Frame> {
	const pending = new PendingBytes();
	let skip = 0;
	for await (const chunk of bytes) {
		const skipped = Math.min(skip, chunk.length);
		skip -= skipped;
		pending.push(chunk.subarray(skipped));
		for (let header = pending.peek(headerBytes); header !== undefined; header = pending.peek(headerBytes)) {
			const length = header.readUInt32BE(0);
			const frame = {streamId: header.readUInt32BE(4), type: header.readUInt8(8), flags: header.readUInt8(9)};
			if (length > 0xffffff) {
				throw new KeelsonError('DATA_LOSS', `ttrpc: frame of ${length} bytes: the first byte of a length is 0`);
			}
			if (length > limit) {
				pending.take(headerBytes);
				skip = length - pending.drop(length);
				yield {...frame, data: new Uint8Array(0), oversizedBytes: length};
				continue;
			}
			if (pending.length < headerBytes + length) {
				break;
			}
			yield {...frame, data: pending.take(headerBytes + length).subarray(headerBytes)};
		}
	}
	if (pending.length > 0 || skip > 0) {
		throw new KeelsonError('DATA_LOSS', `ttrpc: the connection ended within a frame, after ${pending.length} bytes of it`);
	}
}

// A frame of 4 MiB comes in some 64 chunks: they are joined once, when all are there.
class PendingBytes {
	#chunks: Uint8Array[] = [];
	length = 0;

	push(chunk: Uint8Array): void {
		if (chunk.length > 0) {
			this.#chunks.push(chunk);
			this.length += chunk.length;
		}
	}

	peek(length: number): Buffer | undefined {
		if (this.length < length) {
			return undefined;
		}
		if ((this.#chunks[0]?.length ?? 0) < length) {
			this.#chunks = [Buffer.concat(this.#chunks)];
		}
		const [first = new Uint8Array(0)] = this.#chunks;
		return Buffer.from(first.buffer, first.byteOffset, length);
	}

	take(length: number): Buffer {
		const bytes = this.peek(length) ?? Buffer.alloc(0);
		this.drop(bytes.length);
		return bytes;
	}

	/** @returns how many of them there were */
	drop(length: number): number {
		let left = Math.min(length, this.length);
		this.length -= left;
		const dropped = left;
		while (left > 0) {
			const [first = new Uint8Array(0)] = this.#chunks;
			if (first.length > left) {
				this.#chunks[0] = first.subarray(left);
				return dropped;
			}
			left -= first.length;
			this.#chunks.shift();
		}
		return dropped;
	}
}
