import test from 'ava';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {dataBytesMax, encodeFrame, FLAG, FRAME, readFrames, type Frame} from '../../lib/ttrpc/frame.ts';
import {decodeRequest, decodeResponse, encodeRequest, encodeResponse} from '../../lib/ttrpc/messages.ts';
import {fromStatus, toStatus} from '../../lib/ttrpc/status.ts';

const empty = new Uint8Array(0);

/** A part for each field, so that they can be told apart. */
const hex = (...fields: readonly string[]): string => fields.join('');

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
	for (let at = 0; at < bytes.length; at += size) {
		yield bytes.subarray(at, at + size);
	}
}

async function collect(bytes: Uint8Array, size = bytes.length, limit?: number): Promise<Frame[]> {
	return Array.fromAsync(readFrames(chunks(bytes, size), limit));
}

test('a frame is ten bytes, big endian, and its data', t => {
	const frame = encodeFrame({streamId: 0x01020305, type: FRAME.DATA, flags: FLAG.REMOTE_CLOSED | FLAG.NO_DATA, data: Buffer.from('ab')});
	t.is(frame.toString('hex'), hex('00000002', '01020305', '03', '05', '6162'));
});

test('frames are cut out of chunks of any size', async t => {
	const frames = [1, 3, 5].map(streamId => ({streamId, type: FRAME.REQUEST, flags: 0, data: Buffer.alloc(streamId * 7, streamId)}));
	const bytes = Buffer.concat(frames.map(frame => encodeFrame(frame)));
	for (const size of [1, 2, 9, 10, 11, 17, bytes.length]) {
		const read = await collect(bytes, size);
		t.deepEqual(read.map(({streamId, data}) => [streamId, Buffer.from(data).toString('hex')]), frames.map(({streamId, data}) => [streamId, data.toString('hex')]));
	}
});

test('a frame over the limit is skipped and told of, and the next is read', async t => {
	const big = encodeFrame({streamId: 1, type: FRAME.REQUEST, flags: 0, data: Buffer.alloc(50)});
	const small = encodeFrame({streamId: 3, type: FRAME.REQUEST, flags: 0, data: Buffer.from('x')});
	for (const size of [1, 10, 13, 61, 200]) {
		const read = await collect(Buffer.concat([big, small, big, small]), size, 20);
		t.deepEqual(read.map(({streamId, data, oversizedBytes}) => [streamId, data.length, oversizedBytes]), [[1, 0, 50], [3, 1, undefined], [1, 0, 50], [3, 1, undefined]]);
	}
	t.throws(() => encodeFrame({streamId: 1, type: 1, flags: 0, data: Buffer.alloc(dataBytesMax + 1)}), {code: 'RESOURCE_EXHAUSTED'});
});

test('a cut frame and a reserved byte end it', async t => {
	const frame = encodeFrame({streamId: 1, type: FRAME.REQUEST, flags: 0, data: Buffer.alloc(50)});
	await t.throwsAsync(collect(frame.subarray(0, 30)), {code: 'DATA_LOSS'});
	await t.throwsAsync(collect(frame.subarray(0, 30), 30, 20), {code: 'DATA_LOSS'});
	await t.throwsAsync(collect(Buffer.from('01000000000000010100', 'hex')), {code: 'DATA_LOSS'});
	t.deepEqual(await collect(Buffer.alloc(0), 1), []);
});

test('a request has the bytes that protobuf gives it', t => {
	const bytes = encodeRequest({
		service: 's',
		method: 'm',
		payload: Buffer.from([0xff, 0]),
		timeoutNano: 300n,
		metadata: new Map([['k', ['v', 'w']]]),
	});
	t.is(bytes.toString('hex'), hex('0a0173', '12016d', '1a02ff00', '20ac02', '2a060a016b120176', '2a060a016b120177'));
	t.deepEqual(decodeRequest(bytes), {
		service: 's',
		method: 'm',
		payload: Buffer.from([0xff, 0]),
		timeoutNano: 300n,
		metadata: new Map([['k', ['v', 'w']]]),
	});
	const least = encodeRequest({service: 's', method: 'm', payload: empty, timeoutNano: 0n, metadata: new Map()});
	t.is(least.toString('hex'), hex('0a0173', '12016d'));
	t.is(decodeRequest(encodeRequest({service: '', method: '', payload: empty, timeoutNano: -5n, metadata: new Map()})).timeoutNano, -5n);
	t.deepEqual([...decodeRequest(Buffer.from('2a060a014b120176', 'hex')).metadata], [['k', ['v']]], 'names become lower case');
});

test('a response has the bytes that protobuf gives it, and a status always', t => {
	t.is(encodeResponse({status: {code: 0, message: ''}, payload: empty}).toString('hex'), '0a00');
	const bytes = encodeResponse({status: {code: 5, message: 'no'}, payload: Buffer.from('p')});
	t.is(bytes.toString('hex'), hex('0a06', '0805', '12026e6f', '120170'));
	t.deepEqual(decodeResponse(bytes), {status: {code: 5, message: 'no'}, payload: Buffer.from('p')});
	// With a detail (field 3 of the status) and unknown fields of each wire type.
	const unknown = Buffer.from(hex('0a09', '0805', '1a030a0161', '2001', '38ff01', '410102030405060708', '4d01020304', '120170'), 'hex');
	t.deepEqual(decodeResponse(unknown), {status: {code: 5, message: ''}, payload: Buffer.from('p')});
});

test('bytes that are no protobuf are refused', t => {
	for (const bytes of ['0a', '0a05ff', 'ff', 'ffffffffffffffffffffff01', '00', '0b', '0affffffffffffffff7f']) {
		t.true(isKeelsonError(t.throws(() => decodeRequest(Buffer.from(bytes, 'hex'))), 'INVALID_ARGUMENT'), bytes);
	}
});

test('every code goes there and back', t => {
	const codes = ['CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
		'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'] as const;
	codes.forEach((code, index) => {
		const status = toStatus(new KeelsonError(code, 'm'));
		t.deepEqual(status, {code: index + 1, message: 'm'});
		t.true(isKeelsonError(fromStatus(status), code));
	});
	t.deepEqual(toStatus(new Error('plain')), {code: 2, message: 'plain'});
	t.is(fromStatus({code: 99, message: ''}).code, 'UNKNOWN');
});
