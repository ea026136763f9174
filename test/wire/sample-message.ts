import {BinaryWriter} from '@bufbuild/protobuf/wire';
import type {WireFacts} from './wire-facts.ts';

/** A message with every field set, as an object of the generated code and as the bytes that the facts alone make of it. */
export type SampleMessage = {readonly value: Record<string, unknown>; readonly bytes: Uint8Array};

type Field = {readonly number: number; readonly label: string; readonly type: string; readonly name: string};
type Sample = {readonly value: unknown; readonly write: (writer: BinaryWriter, number: number) => void};

const wellKnown: Readonly<Record<string, readonly string[]>> = {
	'google.protobuf.Any': ['1 string type_url', '2 bytes value'],
	'google.protobuf.Timestamp': ['1 int64 seconds', '2 int32 nanos'],
};
const wireTypes: Readonly<Record<string, number>> = {bool: 0, double: 1};

/** Messages inside messages are filled to `depth`, and empty below. Throws an Error for a type that no fact declares. */
export function sampleMessage(facts: WireFacts, name: string, depth = 3): SampleMessage {
	const writer = new BinaryWriter();
	const value: Record<string, unknown> = {};
	for (const {number, label, type, name: fieldName} of fieldsOf(facts, name)) {
		const key = fieldName.replaceAll(/_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
		const sample = sampleField(facts, {number, label, type, name: fieldName}, depth);
		value[key] = sample.value;
		sample.write(writer, number);
	}
	return {value, bytes: writer.finish()};
}

function fieldsOf(facts: WireFacts, name: string): Field[] {
	const own = [...facts].filter(([key]) => key.startsWith(`${name} `)).map(([key, value]) => `${key.slice(name.length + 1)} ${value}`);
	return (wellKnown[name] ?? own).map(line => {
		const {number = '', label = '', type = '', field = ''} = /^(?<number>\d+) (?<label>repeated |optional |)(?<type>map<.*>|\S+) (?<field>\w+)$/.exec(line)?.groups ?? {};
		return {number: Number(number), label, type, name: field};
	});
}

function sampleField(facts: WireFacts, {number, label, type}: Field, depth: number): Sample {
	const [, mapped] = /^map<string, (.*)>$/.exec(type) ?? [];
	if (mapped !== undefined) {
		return sampleMap(sampleOf(facts, mapped, number, depth));
	}
	const first = sampleOf(facts, type, number, depth);
	if (label !== 'repeated ') {
		return first;
	}
	const second = sampleOf(facts, type, number + 1, depth);
	return {value: [first.value, second.value], write: type === 'uint64' || facts.has(`enum ${type}`) ? writePacked : writeBoth};

	function writeBoth(writer: BinaryWriter, at: number): void {
		first.write(writer, at);
		second.write(writer, at);
	}

	// Numbers in a list share one tag: the tag of each is what the list leaves out.
	function writePacked(writer: BinaryWriter, at: number): void {
		const list = new BinaryWriter();
		for (const {value} of [first, second]) {
			list.uint64(value as bigint | number);
		}
		writer.tag(at, 2).bytes(list.finish());
	}
}

function sampleMap(entry: Sample): Sample {
	return {value: {key: entry.value}, write: (writer, number) => {
		writer.tag(number, 2).fork().tag(1, 2).string('key');
		entry.write(writer, 2);
		writer.join();
	}};
}

function sampleOf(facts: WireFacts, type: string, seed: number, depth: number): Sample {
	const scalar = (value: unknown, write: (writer: BinaryWriter) => void): Sample =>
		({value, write: (writer, number) => write(writer.tag(number, wireTypes[type] ?? (typeof value === 'object' || typeof value === 'string' ? 2 : 0)))});
	switch (type) {
		case 'string': return scalar(`text ${seed} é`, writer => writer.string(`text ${seed} é`));
		case 'bytes': return scalar(Uint8Array.of(0, seed, 255), writer => writer.bytes(Uint8Array.of(0, seed, 255)));
		case 'bool': return scalar(true, writer => writer.bool(true));
		case 'double': return scalar(seed + 0.25, writer => writer.double(seed + 0.25));
		case 'int32': return scalar(-seed, writer => writer.int32(-seed));
		case 'uint32': return scalar(4_294_967_000 + seed, writer => writer.uint32(4_294_967_000 + seed));
		case 'int64': return scalar(-9_007_199_254_740_993n - BigInt(seed), writer => writer.int64(-9_007_199_254_740_993n - BigInt(seed)));
		case 'uint64': return scalar(18_446_744_073_709_551_000n + BigInt(seed), writer => writer.uint64(18_446_744_073_709_551_000n + BigInt(seed)));
		// The generated code has the list itself where the wire has a message with a list in it.
		case 'google.protobuf.FieldMask': return {value: ['a', 'b.c'], write: (writer, number) => writer.tag(number, 2).fork().tag(1, 2).string('a').tag(1, 2).string('b.c').join()};
	}
	const values = facts.get(`enum ${type}`);
	if (values !== undefined) {
		const last = Number(values.split('=').at(-1));
		return scalar(last, writer => writer.int32(last));
	}
	if (!facts.has(`message ${type}`) && wellKnown[type] === undefined) {
		throw new Error(`no fact declares ${type}`);
	}
	const inner: SampleMessage = depth === 0 ? {value: {}, bytes: new Uint8Array()} : sampleMessage(facts, type, depth - 1);
	return scalar(inner.value, writer => writer.bytes(inner.bytes));
}
