import {readFile, readdir} from 'node:fs/promises';

/**
 * What must hold on the wire, one entry a fact; a tree of .proto files and a facts file give the same entries when they agree:
 * 'message a.B' → '', 'a.B 3' → 'repeated string name', 'enum a.C' → 'X=0, Y=1', 'service a.S' → '', 'rpc a.S.Get' → '(a.B) -> stream a.B'.
 */
export type WireFacts = ReadonlyMap<string, string>;

const factsFolder = new URL('../fixtures/wire/', import.meta.url);

/** All facts that are kept under test/fixtures/wire. Rejects with an Error that has the line where one cannot be read. */
export async function readWireFacts(): Promise<WireFacts> {
	const facts = new Map<string, string>();
	for (const name of (await readdir(factsFolder)).filter(file => file.endsWith('.txt'))) {
		for (const [key, value] of parseWireFacts(await readFile(new URL(name, factsFolder), 'utf8'))) {
			facts.set(key, value);
		}
	}
	return facts;
}

/** Throws an Error that has the line where one is none of a heading, a message, an enum, a service, a method or a field. */
export function parseWireFacts(text: string): WireFacts {
	const facts = new Map<string, string>();
	let scope = '';
	for (const line of text.split('\n').map(raw => raw.trim())) {
		if (line === '' || line.startsWith('#')) {
			continue;
		}
		const found = /^(?<kind>message|service) (?<name>\S+)/.exec(line)
			?? /^(?<kind>enum) (?<name>\S+): (?<value>.*)$/.exec(line)
			?? /^(?<kind>rpc|)(?<name>\w+)(?<value>\(.*\) -> .*)$/.exec(line)
			?? /^(?<kind>)(?<name>\d+) (?<value>.*)$/.exec(line);
		const {kind = '', name = '', value = ''} = found?.groups ?? {};
		if (name === '') {
			throw new Error(`not a wire fact: '${line}'`);
		}
		if (kind === 'message' || kind === 'service') {
			scope = name;
		}
		facts.set(keyOf(kind, scope, name, value), value);
	}
	return facts;
}

function keyOf(kind: string, scope: string, name: string, value: string): string {
	if (kind !== '') {
		return `${kind} ${name}`;
	}
	return value.startsWith('(') ? `rpc ${scope}.${name}` : `${scope} ${name}`;
}
