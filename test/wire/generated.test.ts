import test from 'ava';
import {readProtoFiles} from './proto-file.ts';
import {sampleMessage} from './sample-message.ts';
import {readWireFacts} from './wire-facts.ts';

type Codec = {
	encode(message: unknown): {finish(): Uint8Array};
	decode(bytes: Uint8Array): unknown;
	fromPartial(partial: unknown): unknown;
};
type Method = {name: string; requestType: unknown; requestStream: boolean; responseType: unknown; responseStream: boolean};
type Service = {fullName: string; methods: Readonly<Record<string, Method>>};

/** What the generated modules export, under the full names of the wire: 'a.b.Message.Inner' for Message_Inner of package a.b. */
async function generated(): Promise<ReadonlyMap<string, unknown>> {
	const exported = new Map<string, unknown>();
	const paths = (await readProtoFiles()).map(file => file.path);
	for (const path of [...paths, 'google/protobuf/any.proto', 'google/protobuf/empty.proto']) {
		const module = await import(new URL(`../../api/gen/${path.replace(/\.proto$/, '.ts')}`, import.meta.url).href) as Record<string, unknown>;
		for (const [name, value] of Object.entries(module)) {
			exported.set(`${String(module['protobufPackage'])}.${name.replaceAll('_', '.')}`, value);
		}
	}
	return exported;
}

test('every message of the generated code reads and writes what the facts say', async t => {
	const facts = await readWireFacts();
	const exported = await generated();
	const names = [...facts.keys()].filter(key => key.startsWith('message ')).map(key => key.slice('message '.length));

	t.true(names.length > 200);
	for (const name of names) {
		const codec = exported.get(name) as Codec;
		const {value, bytes} = sampleMessage(facts, name);
		t.deepEqual(Buffer.from(codec.encode(codec.fromPartial(value)).finish()).toString('hex'), Buffer.from(bytes).toString('hex'), name);
		t.deepEqual(codec.decode(bytes), codec.fromPartial(value), name);
	}
});

test('every method of the generated code takes and answers what the facts say', async t => {
	const exported = await generated();
	const methods = [...await readWireFacts()].filter(([key]) => key.startsWith('rpc '));

	t.true(methods.length > 100);
	for (const [key, value] of methods) {
		const [, service = '', method = ''] = /^rpc (.*)\.(\w+)$/.exec(key) ?? [];
		const {fullName, methods: found} = exported.get(`${service}Definition`) as Service;
		const {name, requestType, requestStream, responseType, responseStream} = found[method.charAt(0).toLowerCase() + method.slice(1)] as Method;
		const [, streamIn, request = '', streamOut, response = ''] = /^\((stream )?(.*)\) -> (stream )?(.*)$/.exec(value) ?? [];
		t.deepEqual([fullName, name, requestStream, responseStream], [service, method, streamIn !== undefined, streamOut !== undefined]);
		t.is(requestType, exported.get(request), key);
		t.is(responseType, exported.get(response), key);
	}
});

test('every enum of the generated code has the numbers that the facts say', async t => {
	const exported = await generated();
	const enums = [...await readWireFacts()].filter(([key]) => key.startsWith('enum '));

	t.true(enums.length > 5);
	for (const [key, value] of enums) {
		const found = Object.entries(exported.get(key.slice('enum '.length)) as Record<string, number>);
		t.is(found.map(([name, number]) => `${name}=${number}`).join(', '), value, key);
	}
});
