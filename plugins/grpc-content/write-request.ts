import {BinaryReader, WireType} from '@bufbuild/protobuf/wire';
import {WriteContentRequest} from '../../api/gen/services/content/v1/content.ts';
import type {Codec} from '../../contracts/grpc/grpc.ts';

/** A request of Content.Write whose bytes lie where they were received. */
export interface WriteRequest extends Omit<WriteContentRequest, 'data'> {
	/** In order. */
	readonly data: readonly Uint8Array[];
}

/** The field's number. */
const DATA = 6;

/** A blob comes in messages of a megabyte, each of some seventy pieces: put together they would be copied into new memory only to be copied out of it again. */
export const writeRequestCodec: Codec<WriteRequest> = {
	encode: ({data, ...rest}) => WriteContentRequest.encode({...rest, data: Buffer.concat(data)}),
	decode: bytes => whole(bytes),
	decodeParts: parts => apart(parts) ?? whole(Buffer.concat(parts)),
};

function whole(bytes: Uint8Array): WriteRequest {
	const {data, ...rest} = WriteContentRequest.decode(bytes);
	return {...rest, data: [data]};
}

/** Undefined for what is better read as a whole: what is not as Go writes it, with the data once and what precedes it in the first part. */
function apart(parts: readonly Uint8Array[]): WriteRequest | undefined {
	const [first = new Uint8Array()] = parts;
	const field = findData(first);
	if (field === undefined) {
		return undefined;
	}
	const size = parts.reduce((sum, {byteLength}) => sum + byteLength, 0);
	if (field.end > size) {
		return undefined;
	}
	const rest = Buffer.concat([first.subarray(0, field.tagAt), ...cut(parts, field.end, size)]);
	return findData(rest) === undefined ? {...WriteContentRequest.decode(rest), data: cut(parts, field.begin, field.end)} : undefined;
}

/** Where the data stand, counted from the beginning of the message. */
function findData(bytes: Uint8Array): {readonly tagAt: number; readonly begin: number; readonly end: number} | undefined {
	const reader = new BinaryReader(bytes);
	try {
		while (reader.pos < reader.len) {
			const tagAt = reader.pos;
			const [fieldNo, wireType] = reader.tag();
			if (fieldNo === DATA && wireType === WireType.LengthDelimited) {
				const length = reader.uint32();
				return {tagAt, begin: reader.pos, end: reader.pos + length};
			}
			reader.skip(wireType, fieldNo);
		}
	} catch {
		// A field that goes on in the next part, or one that is malformed, which whoever reads the whole will say.
	}
	return undefined;
}

/** Those bytes of the parts, which lie where they are. */
function cut(parts: readonly Uint8Array[], begin: number, end: number): Uint8Array[] {
	const found: Uint8Array[] = [];
	let at = 0;
	for (const part of parts) {
		if (at < end && at + part.byteLength > begin) {
			found.push(part.subarray(Math.max(0, begin - at), end - at));
		}
		at += part.byteLength;
	}
	return found;
}
