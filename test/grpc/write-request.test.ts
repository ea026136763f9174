import test from 'ava';
import {WriteAction, WriteContentRequest} from '../../api/gen/services/content/v1/content.ts';
import {writeRequestCodec, type WriteRequest} from '../../plugins/grpc-content/write-request.ts';

const data = Buffer.from(Array.from({length: 300}, (_, at) => at % 251));
const message = {action: WriteAction.COMMIT, ref: 'layer', total: 1_000_000n, expected: `sha256:${'a'.repeat(64)}`, offset: 700n, data, labels: {one: '1', two: '2'}};
const encoded = Buffer.from(WriteContentRequest.encode(message).finish());

test('a request is the same in whatever parts it comes', t => {
	for (let size = 1; size <= encoded.length; size++) {
		t.deepEqual(joined(decodeParts(cutInto(encoded, size))), message, `parts of ${size}`);
	}
	t.deepEqual(joined(writeRequestCodec.decode(encoded)), message);
});

test('its bytes are not copied where the message begins with what precedes them', t => {
	const at = encoded.indexOf(data);
	const parts = [encoded.subarray(0, at + 100), encoded.subarray(at + 100, at + 250), encoded.subarray(at + 250)];
	t.deepEqual(decodeParts(parts).data.map(({buffer, byteOffset, length}) => [buffer === encoded.buffer, byteOffset - encoded.byteOffset, length]), [[true, at, 100], [true, at + 100, 150], [true, at + 250, 50]]);
});

test('of data that is there twice the last counts, as for any reader of protobuf', t => {
	const twice = Buffer.concat([encoded, WriteContentRequest.encode(WriteContentRequest.fromPartial({data: Buffer.from('last')})).finish()]);
	// Tag and length of a field of no bytes.
	const thenNone = Buffer.concat([encoded, Buffer.from([0x32, 0])]);
	for (const size of [100, 200, 400]) {
		t.deepEqual(joined(decodeParts(cutInto(thenNone, size))), {...message, data: Buffer.alloc(0)});
		t.deepEqual(joined(decodeParts(cutInto(twice, size))), {...message, data: Buffer.from('last')});
	}
});

test('one without data, and one whose other fields come later, are read too', t => {
	const bare = {...message, data: Buffer.alloc(0)};
	t.deepEqual(joined(decodeParts(cutInto(Buffer.from(WriteContentRequest.encode(bare).finish()), 10))), bare);
	const late = Buffer.concat([WriteContentRequest.encode(WriteContentRequest.fromPartial({data})).finish(), WriteContentRequest.encode(WriteContentRequest.fromPartial({ref: 'late', offset: 5n})).finish()]);
	t.like(joined(decodeParts(cutInto(late, 120))), {ref: 'late', offset: 5n, data});
});

test('what is cut short or malformed is refused, however it is cut', t => {
	for (const length of [encoded.indexOf(data) + 20, encoded.length - 1, 3]) {
		const short = encoded.subarray(0, length);
		t.throws(() => WriteContentRequest.decode(short));
		for (const size of [1, 2, 50, 150]) {
			t.throws(() => decodeParts(cutInto(short, size)), undefined, `${length} in parts of ${size}`);
		}
	}
});

function decodeParts(parts: readonly Uint8Array[]): WriteRequest {
	return writeRequestCodec.decodeParts?.(parts) ?? writeRequestCodec.decode(Buffer.concat(parts));
}

function joined(request: WriteRequest): WriteContentRequest {
	return {...request, data: Buffer.concat(request.data)};
}

function cutInto(bytes: Buffer, size: number): Buffer[] {
	return Array.from({length: Math.ceil(bytes.length / size)}, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}
