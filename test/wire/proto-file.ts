import {glob, readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import type {WireFacts} from './wire-facts.ts';

/** One .proto file as far as the wire is concerned; the types of fields are as they were written, not resolved. */
export type ProtoFile = {
	/** Relative to the include root: 'types/mount.proto'. */
	readonly path: string;
	readonly package: string;
	readonly declarations: readonly Declaration[];
};

/** `name` is full; `scope` is where a type in it is looked up from. */
type Declaration =
	| {readonly kind: 'message' | 'service'; readonly name: string}
	| {readonly kind: 'enum'; readonly name: string; readonly values: readonly string[]}
	| {readonly kind: 'field'; readonly scope: string; readonly number: string; readonly label: string; readonly types: readonly string[]; readonly name: string}
	| {readonly kind: 'rpc'; readonly scope: string; readonly name: string; readonly request: Argument; readonly response: Argument};

type Argument = {readonly stream: string; readonly type: string};

const scalars = new Set('double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool string bytes'.split(' '));
const includeRoot = fileURLToPath(new URL('../../api/', import.meta.url));

/** Every .proto file under api. Rejects with an Error that names the file and the word at which it stopped being understood. */
export async function readProtoFiles(): Promise<readonly ProtoFile[]> {
	const paths = (await Array.fromAsync(glob('**/*.proto', {cwd: includeRoot}))).toSorted();
	return Promise.all(paths.map(async path => parseProtoFile(path, await readFile(`${includeRoot}${path}`, 'utf8'))));
}

/** Reads the part of proto3 that api uses: no options, no oneof, no reserved, no extensions. Throws an Error at anything else. */
export function parseProtoFile(path: string, text: string): ProtoFile {
	const words = text.replaceAll(/\/\/.*/g, '').match(/"[^"]*"|-?[\w.]+|\S/g) ?? [];
	const declarations: Declaration[] = [];
	let at = 0;
	let packageName = '';

	const next = (): string => words[at++] ?? '';
	const take = (...wanted: readonly string[]): void => {
		for (const word of wanted) {
			const found = next();
			if (found !== word) {
				throw new Error(`${path}: expected '${word}', found '${found}' at word ${at}`);
			}
		}
	};
	const skip = (word: string): boolean => {
		const found = words[at] === word;
		at += found ? 1 : 0;
		return found;
	};

	const argument = (): Argument => {
		take('(');
		const stream = skip('stream') ? 'stream ' : '';
		const type = next();
		take(')');
		return {stream, type};
	};
	const service = (name: string): void => {
		declarations.push({kind: 'service', name});
		take('{');
		while (!skip('}')) {
			take('rpc');
			const method = next();
			const request = argument();
			take('returns');
			declarations.push({kind: 'rpc', scope: name, name: method, request, response: argument()});
			take(';');
		}
	};
	const enumeration = (name: string): void => {
		const values: string[] = [];
		take('{');
		while (!skip('}')) {
			const value = next();
			take('=');
			values.push(`${value}=${next()}`);
			take(';');
		}
		declarations.push({kind: 'enum', name, values});
	};
	const field = (scope: string): void => {
		const label = ['repeated', 'optional'].includes(words[at] ?? '') ? `${next()} ` : '';
		const types = [next()];
		if (types[0] === 'map') {
			take('<');
			types[0] = next();
			take(',');
			types.push(next());
			take('>');
		}
		const name = next();
		take('=');
		declarations.push({kind: 'field', scope, number: next(), label, types, name});
		take(';');
	};
	const message = (name: string): void => {
		declarations.push({kind: 'message', name});
		take('{');
		while (!skip('}')) {
			if (skip('message')) {
				message(`${name}.${next()}`);
			} else if (skip('enum')) {
				enumeration(`${name}.${next()}`);
			} else {
				field(name);
			}
		}
	};

	take('syntax', '=', '"proto3"', ';', 'package');
	packageName = next();
	take(';');
	while (skip('import')) {
		next();
		take(';');
	}
	while (at < words.length) {
		const kind = next();
		const name = `${packageName}.${next()}`;
		switch (kind) {
			case 'message': message(name); break;
			case 'enum': enumeration(name); break;
			case 'service': service(name); break;
			default: throw new Error(`${path}: expected a message, an enum or a service, found '${kind}'`);
		}
	}
	return {path, package: packageName, declarations};
}

/** What `files` put on the wire. Throws an Error for a type that none of them declares, and for a number that is taken twice. */
export function wireFactsOf(files: readonly ProtoFile[]): WireFacts {
	const declarations = files.flatMap(file => file.declarations);
	const declared = new Set(declarations.filter(({kind}) => kind === 'message' || kind === 'enum').map(({name}) => name));
	const facts = new Map<string, string>();
	const add = (key: string, value: string): void => {
		if (facts.has(key)) {
			throw new Error(`'${key}' is stated twice: '${facts.get(key)}' and '${value}'`);
		}
		facts.set(key, value);
	};

	const full = (type: string, scope: string): string => {
		if (scalars.has(type) || type.startsWith('google.protobuf.')) {
			return type;
		}
		for (let outer = scope; outer !== ''; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('.')))) {
			if (declared.has(`${outer}.${type}`)) {
				return `${outer}.${type}`;
			}
		}
		if (!declared.has(type)) {
			throw new Error(`'${type}', used in ${scope}, is declared nowhere`);
		}
		return type;
	};

	for (const declaration of declarations) {
		switch (declaration.kind) {
			case 'message':
			case 'service': add(`${declaration.kind} ${declaration.name}`, ''); break;
			case 'enum': add(`enum ${declaration.name}`, declaration.values.join(', ')); break;
			case 'rpc': {
				const {scope, name, request, response} = declaration;
				add(`rpc ${scope}.${name}`, `(${request.stream}${full(request.type, scope)}) -> ${response.stream}${full(response.type, scope)}`);
				break;
			}
			case 'field': {
				const {scope, number, label, types, name} = declaration;
				const [first = '', second] = types.map(type => full(type, scope));
				add(`${scope} ${number}`, `${label}${second === undefined ? first : `map<${first}, ${second}>`} ${name}`);
				break;
			}
		}
	}
	return facts;
}
