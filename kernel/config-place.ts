import type {AST} from 'toml-eslint-parser';
import type {ConfigFile} from './config-file.ts';

/** Knows where each key of the configuration was given. Parses nothing before it is asked. */
export class Places {
	readonly #files: readonly ConfigFile[];
	readonly #keys = new Map<ConfigFile, readonly Key[]>();

	constructor(files: readonly ConfigFile[]) {
		this.#files = files.toReversed();
	}

	/**
	 * The place of a key as ` (file:line:column)`, columns from 1: in the last file that has it, since that one counts. Of a key
	 * that stands nowhere (a default, a flag) the nearest table above it; empty when there is none either.
	 */
	async of(path: readonly PropertyKey[], files = this.#files): Promise<string> {
		let best: {depth: number; place: string} | undefined;
		for (const file of files) {
			const keys = await this.#keysOf(file);
			for (const wanted of spellings(file, path.map(String))) {
				for (const {path: given, line, column} of keys) {
					const depth = given.length + path.length - wanted.length;
					if (depth > (best?.depth ?? 0) && given.length <= wanted.length && given.every((key, index) => key === wanted[index])) {
						best = {depth, place: `${file.path}:${line}:${column + 1}`};
					}
				}
			}
		}
		return best === undefined ? '' : ` (${best.place})`;
	}

	/** The place of an item of an array at the top, which is united from all files. */
	async ofItem(key: string, item: string, path?: string): Promise<string> {
		const list = (file: ConfigFile): unknown[] => Array.isArray(file.table[key]) ? file.table[key] : [];
		const file = this.#files.find((each) => (path ?? each.path) === each.path && list(each).includes(item));
		return file === undefined ? '' : this.of([key, list(file).indexOf(item)], [file]);
	}

	async #keysOf(file: ConfigFile): Promise<readonly Key[]> {
		// The parser that knows positions is slow to load, and most starts have nothing to report.
		const {parseTOML} = await import('toml-eslint-parser');
		const keys = this.#keys.get(file) ?? [...keysOf(parseTOML(file.text).body[0].body)];
		this.#keys.set(file, keys);
		return keys;
	}
}

function spellings({moved}: ConfigFile, path: readonly string[]): string[][] {
	const old = moved.filter(({to}) => to.every((key, index) => key === path[index]));
	return [[...path], ...old.map(({to, from}) => [...from, ...path.slice(to.length)])];
}

interface Key {
	readonly path: readonly string[];
	readonly line: number;
	readonly column: number;
}

function* keysOf(nodes: readonly (AST.TOMLKeyValue | AST.TOMLTable)[], above: readonly string[] = []): Generator<Key> {
	for (const node of nodes) {
		const keys = node.type === 'TOMLTable' ? node.resolvedKey.map(String) : [...above, ...node.key.keys.map(nameOfKey)];
		yield {path: keys, ...node.key.loc.start};
		if (node.type === 'TOMLTable') {
			yield* keysOf(node.body, keys);
		} else {
			yield* keysIn(node.value, keys);
		}
	}
}

function* keysIn(value: AST.TOMLContentNode, keys: readonly string[]): Generator<Key> {
	if (value.type === 'TOMLInlineTable') {
		yield* keysOf(value.body, keys);
	} else if (value.type === 'TOMLArray') {
		for (const [index, element] of value.elements.entries()) {
			yield {path: [...keys, String(index)], ...element.loc.start};
			yield* keysIn(element, [...keys, String(index)]);
		}
	}
}

function nameOfKey(key: AST.TOMLBare | AST.TOMLQuoted): string {
	return key.type === 'TOMLBare' ? key.name : key.value;
}
