import {FieldWriter, readFields} from './wire-format.ts';

/** Names are lower case; a name may have several values. */
export type Metadata = ReadonlyMap<string, readonly string[]>;

/** `ttrpc.Request`. */
export interface Request {
	readonly service: string;
	readonly method: string;
	readonly payload: Uint8Array;
	/** 0 for none. */
	readonly timeoutNano: bigint;
	readonly metadata: Metadata;
}

/** `google.rpc.Status`, without details. */
export interface Status {
	/** A number of gRPC's; 0 is success. */
	readonly code: number;
	readonly message: string;
}

/** `ttrpc.Response`. */
export interface Response {
	readonly status: Status;
	readonly payload: Uint8Array;
}

// message Request  { string service = 1; string method = 2; bytes payload = 3; int64 timeout_nano = 4; repeated KeyValue metadata = 5; }
// message KeyValue { string key = 1; string value = 2; }
export function encodeRequest({service, method, payload, timeoutNano, metadata}: Request): Buffer {
	const writer = new FieldWriter().string(1, service).string(2, method);
	if (payload.length > 0) {
		writer.bytes(3, payload);
	}
	if (timeoutNano !== 0n) {
		writer.integer(4, timeoutNano);
	}
	for (const [key, values] of metadata) {
		for (const value of values) {
			writer.bytes(5, new FieldWriter().string(1, key).string(2, value).finish());
		}
	}
	return writer.finish();
}

/** Rejects with INVALID_ARGUMENT when the bytes are no protobuf. */
export function decodeRequest(bytes: Uint8Array): Request {
	let service = '';
	let method = '';
	let payload: Uint8Array = new Uint8Array(0);
	let timeoutNano = 0n;
	const metadata = new Map<string, string[]>();
	for (const field of readFields(bytes)) {
		if ('integer' in field) {
			timeoutNano = field.number === 4 ? BigInt.asIntN(64, field.integer) : timeoutNano;
		} else if (field.number === 1) {
			service = toText(field.bytes);
		} else if (field.number === 2) {
			method = toText(field.bytes);
		} else if (field.number === 3) {
			payload = field.bytes;
		} else if (field.number === 5) {
			const [key, value] = decodePair(field.bytes);
			metadata.set(key, [...metadata.get(key) ?? [], value]);
		}
	}
	return {service, method, payload, timeoutNano, metadata};
}

// message Response { google.rpc.Status status = 1; bytes payload = 2; }
// message Status   { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
export function encodeResponse({status, payload}: Response): Buffer {
	const inner = new FieldWriter();
	if (status.code !== 0) {
		inner.integer(1, BigInt(status.code));
	}
	if (status.message !== '') {
		inner.string(2, status.message);
	}
	// Also when it is empty: peers take a response without a status for a broken one.
	const writer = new FieldWriter().bytes(1, inner.finish());
	return payload.length === 0 ? writer.finish() : writer.bytes(2, payload).finish();
}

/** Rejects with INVALID_ARGUMENT when the bytes are no protobuf. */
export function decodeResponse(bytes: Uint8Array): Response {
	let status: Status = {code: 0, message: ''};
	let payload: Uint8Array = new Uint8Array(0);
	for (const field of readFields(bytes)) {
		if ('bytes' in field && field.number === 1) {
			status = decodeStatus(field.bytes);
		} else if ('bytes' in field && field.number === 2) {
			payload = field.bytes;
		}
	}
	return {status, payload};
}

function decodeStatus(bytes: Uint8Array): Status {
	let code = 0;
	let message = '';
	for (const field of readFields(bytes)) {
		if ('integer' in field) {
			code = field.number === 1 ? Number(BigInt.asIntN(32, field.integer)) : code;
		} else if (field.number === 2) {
			message = toText(field.bytes);
		}
	}
	return {code, message};
}

function decodePair(bytes: Uint8Array): readonly [string, string] {
	let key = '';
	let value = '';
	for (const field of readFields(bytes)) {
		if ('bytes' in field && field.number === 1) {
			key = toText(field.bytes).toLowerCase();
		} else if ('bytes' in field && field.number === 2) {
			value = toText(field.bytes);
		}
	}
	return [key, value];
}

function toText(bytes: Uint8Array): string {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
