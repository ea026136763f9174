import type {Any} from '../../contracts/oci/any.ts';

const TYPE_URL = 0x0a;
const VALUE = 0x12;

/** The bytes of a google.protobuf.Any: `0a length typeUrl 12 length value`; a field that is empty is left out. */
export function encodeAny({typeUrl, value}: Any): Buffer {
	return Buffer.concat([...field(TYPE_URL, Buffer.from(typeUrl)), ...field(VALUE, value)]);
}

function field(tag: number, bytes: Uint8Array): readonly Uint8Array[] {
	return bytes.length === 0 ? [] : [Buffer.from([tag, ...varint(bytes.length)]), bytes];
}

function varint(value: number): readonly number[] {
	return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))];
}
