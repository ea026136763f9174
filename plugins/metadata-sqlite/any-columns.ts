import type {Any} from '../../contracts/oci/any.ts';

/** An Any as two columns, both NULL when there is none. */
export type AnyColumns = readonly [type: string | null, value: Uint8Array | null];

export function anyColumns(any: Any | undefined): AnyColumns {
	return any === undefined ? [null, null] : [any.typeUrl, any.value];
}

export function anyOf(type: string | null, value: Uint8Array | null): Any | undefined {
	return type === null ? undefined : {typeUrl: type, value: value ?? new Uint8Array()};
}

/** Extensions by name, as one text. */
export function encodeExtensions(extensions: Readonly<Record<string, Any>>): string {
	return JSON.stringify(Object.entries(extensions).map(([name, any]) => [name, any.typeUrl, Buffer.from(any.value).toString('base64')]));
}

export function decodeExtensions(text: string): Readonly<Record<string, Any>> {
	if (text === '[]') {
		return {};
	}
	const entries = JSON.parse(text) as ReadonlyArray<readonly [name: string, typeUrl: string, base64: string]>;
	return Object.fromEntries(entries.map(([name, typeUrl, base64]) => [name, {typeUrl, value: new Uint8Array(Buffer.from(base64, 'base64'))}]));
}
