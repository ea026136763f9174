import test from 'ava';
import {parseProtoFile, readProtoFiles, wireFactsOf} from './proto-file.ts';
import {readWireFacts, type WireFacts} from './wire-facts.ts';

function differences(wanted: WireFacts, found: WireFacts): string[] {
	const keys = new Set([...wanted.keys(), ...found.keys()]);
	return [...keys]
		.filter(key => wanted.get(key) !== found.get(key))
		.map(key => `${key}: wanted '${wanted.get(key)}', found '${found.get(key)}'`);
}

test('the .proto files state every wire fact, and nothing else', async t => {
	const wanted = await readWireFacts();

	t.true(wanted.size > 1000);
	t.deepEqual(differences(wanted, wireFactsOf(await readProtoFiles())), []);
});

test('a wrong number in a .proto file is noticed', t => {
	const right = 'syntax = "proto3"; package a.b; message C { repeated string d = 1; } enum E { F = 0; G = 1; }';
	const facts = (text: string): WireFacts => wireFactsOf([parseProtoFile('c.proto', text)]);

	t.deepEqual(differences(facts(right), facts(right)), []);
	t.deepEqual(differences(facts(right), facts(right.replace('d = 1', 'd = 2'))), [
		'a.b.C 1: wanted \'repeated string d\', found \'undefined\'',
		'a.b.C 2: wanted \'undefined\', found \'repeated string d\'',
	]);
	t.deepEqual(differences(facts(right), facts(right.replace('G = 1', 'G = 2'))), ['enum a.b.E: wanted \'F=0, G=1\', found \'F=0, G=2\'']);
});

test('a number that is taken twice and a type that is declared nowhere are refused', t => {
	const read = (fields: string): WireFacts => wireFactsOf([parseProtoFile('c.proto', `syntax = "proto3"; package a.b; message C { ${fields} }`)]);

	t.throws(() => read('string d = 1; string e = 1;'), {message: '\'a.b.C 1\' is stated twice: \'string d\' and \'string e\''});
	t.throws(() => read('Missing d = 1;'), {message: '\'Missing\', used in a.b.C, is declared nowhere'});
	t.throws(() => read('reserved 1;'), {message: /^c\.proto: expected '=', found ';'/});
});
