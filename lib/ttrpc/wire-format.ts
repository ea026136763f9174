import {KeelsonError} from '../../kernel/errors.ts';

/** Writes protobuf fields; just what the four messages of ttrpc need. */
export class FieldWriter {
	readonly #parts: Uint8Array[] = [];

	bytes(field: number, value: Uint8Array): this {
		this.#parts.push(varint(BigInt(field << 3 | lengthDelimited)), varint(BigInt(value.length)), value);
		return this;
	}

	string(field: number, value: string): this {
		return this.bytes(field, Buffer.from(value));
	}

	/** int32 and int64: a negative one takes ten bytes. */
	integer(field: number, value: bigint): this {
		this.#parts.push(varint(BigInt(field << 3)), varint(BigInt.asUintN(64, value)));
		return this;
	}

	finish(): Buffer {
		return Buffer.concat(this.#parts);
	}
}

/** A field as it lies on the wire: bytes, or a number for the other kinds. */
export type Field = {readonly number: number; readonly bytes: Uint8Array} | {readonly number: number; readonly integer: bigint};

/** Reads the fields of a message in order; views, not copies. Rejects with INVALID_ARGUMENT when the bytes are no protobuf. */
export function* readFields(message: Uint8Array): Generator<Field> {
	let at = 0;
	const readVarint = (): bigint => {
		let value = 0n;
		for (let shift = 0n; shift < 70n; shift += 7n) {
			const byte = message[at++];
			if (byte === undefined) {
				break;
			}
			value |= BigInt(byte & 0x7f) << shift;
			if (byte < 0x80) {
				return BigInt.asUintN(64, value);
			}
		}
		throw malformed(at, message.length);
	};
	const take = (length: number): Uint8Array => {
		if (length > message.length - at) {
			throw malformed(at, message.length);
		}
		at += length;
		return message.subarray(at - length, at);
	};
	while (at < message.length) {
		const tag = Number(readVarint());
		const number = Math.floor(tag / 8);
		const type = tag % 8;
		if (number === 0) {
			throw malformed(at, message.length);
		}
		if (type === varintType) {
			yield {number, integer: readVarint()};
		} else if (type === lengthDelimited) {
			yield {number, bytes: take(Number(readVarint()))};
		} else if (type === fixed64) {
			yield {number, integer: Buffer.from(take(8)).readBigUInt64LE(0)};
		} else if (type === fixed32) {
			yield {number, integer: BigInt(Buffer.from(take(4)).readUInt32LE(0))};
		} else {
			throw malformed(at, message.length);
		}
	}
}

function varint(value: bigint): Uint8Array {
	const bytes: number[] = [];
	let rest = value;
	while (rest > 0x7fn) {
		bytes.push(Number(rest & 0x7fn) | 0x80);
		rest >>= 7n;
	}
	bytes.push(Number(rest));
	return Uint8Array.from(bytes);
}

function malformed(at: number, length: number): KeelsonError {
	return new KeelsonError('INVALID_ARGUMENT', `bytes are no protobuf message: stopped at ${at} of ${length}`);
}

const varintType = 0;
const fixed64 = 1;
const lengthDelimited = 2;
const fixed32 = 5;
