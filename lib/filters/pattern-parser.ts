import {foldingCase, negated, perlClass, posixClass, unicodeClass} from './character-class.ts';
import type {CharacterTest, PatternTree} from './pattern-tree.ts';

/** Why and where a pattern is no regular expression. */
export class PatternError extends Error {
	override readonly name = 'PatternError';
}

interface Flags {
	readonly i: boolean;
	readonly m: boolean;
	readonly s: boolean;
}

const COUNT_MAX = 1000;
const CONTROL: Readonly<Record<string, number>> = {a: 7, f: 12, n: 10, r: 13, t: 9, v: 11};
const isWord = (codePoint: number): boolean => codePoint >= 0 && /\w/.test(String.fromCodePoint(codePoint));

/**
 * Reads the syntax of Go's regular expressions (RE2, github.com/google/re2/wiki/Syntax). What RE2 has not is refused: looking around and back.
 * Captures, names and greediness are read and forgotten.
 */
export class PatternParser {
	readonly #text: string;
	#at = 0;
	#flags: Flags = {i: false, m: false, s: false};

	constructor(text: string) {
		this.#text = text;
	}

	parse(): PatternTree {
		const tree = this.#either();
		if (this.#at < this.#text.length) {
			throw this.#wrong('unexpected )');
		}
		return tree;
	}

	#either(): PatternTree {
		const flags = this.#flags;
		const parts = [this.#sequence()];
		while (this.#take('|')) {
			parts.push(this.#sequence());
		}
		this.#flags = flags;
		return parts.length === 1 && parts[0] !== undefined ? parts[0] : {kind: 'either', parts};
	}

	#sequence(): PatternTree {
		const parts: PatternTree[] = [];
		while (this.#at < this.#text.length && !this.#sees('|') && !this.#sees(')')) {
			parts.push(this.#repeated(this.#atom()));
		}
		return {kind: 'sequence', parts};
	}

	#repeated(part: PatternTree): PatternTree {
		const range = this.#quantifier();
		if (range === undefined) {
			return part;
		}
		this.#take('?');
		if (this.#quantifier() !== undefined) {
			throw this.#wrong('a repetition is repeated');
		}
		return {kind: 'repeat', part, ...range};
	}

	#quantifier(): {readonly min: number; readonly max: number | undefined} | undefined {
		if (this.#take('*')) {
			return {min: 0, max: undefined};
		}
		if (this.#take('+')) {
			return {min: 1, max: undefined};
		}
		if (this.#take('?')) {
			return {min: 0, max: 1};
		}
		// What looks like a count and is none stands for itself.
		const [whole = '', low = '', comma, high = ''] = this.#match(/\{(\d+)(,)?(\d*)\}/y) ?? [];
		if (whole === '') {
			return undefined;
		}
		this.#at += whole.length;
		const min = Number(low);
		const max = comma === undefined ? min : high === '' ? undefined : Number(high);
		if (min > COUNT_MAX || (max !== undefined && (max > COUNT_MAX || max < min))) {
			throw this.#wrong(`bad count ${whole}`);
		}
		return {min, max};
	}

	#atom(): PatternTree {
		if (this.#take('(')) {
			return this.#group();
		}
		if (this.#take('[')) {
			return this.#one(this.#class());
		}
		if (this.#take('.')) {
			const {s} = this.#flags;
			return {kind: 'one', test: codePoint => s || codePoint !== 10};
		}
		if (this.#take('^')) {
			const {m} = this.#flags;
			return {kind: 'between', holds: before => before === -1 || (m && before === 10)};
		}
		if (this.#take('$')) {
			const {m} = this.#flags;
			return {kind: 'between', holds: (_before, after) => after === -1 || (m && after === 10)};
		}
		if (this.#take('\\')) {
			return this.#escape();
		}
		if (this.#sees('*') || this.#sees('+') || this.#sees('?')) {
			throw this.#wrong('nothing to repeat');
		}
		const literal = this.#next();
		return this.#one(codePoint => codePoint === literal);
	}

	#group(): PatternTree {
		const outer = this.#flags;
		if (this.#take('?')) {
			const [start = '', name, on = '', off = '', end] = this.#match(/P?<(\w+)>|([imsU]*)(?:-([imsU]+))?([:)])/y) ?? [];
			if (start === '') {
				throw this.#wrong('a group that looks around, or is of no known kind');
			}
			this.#at += start.length;
			if (name === undefined) {
				const flag = (letter: keyof Flags): boolean => (outer[letter] || on.includes(letter)) && !off.includes(letter);
				this.#flags = {i: flag('i'), m: flag('m'), s: flag('s')};
			}
			if (end === ')') {
				return {kind: 'sequence', parts: []};
			}
		}
		const tree = this.#either();
		if (!this.#take(')')) {
			throw this.#wrong('a group has no end');
		}
		this.#flags = outer;
		return tree;
	}

	#escape(): PatternTree {
		if (this.#take('Q')) {
			const end = this.#text.indexOf(String.raw`\E`, this.#at);
			const literal = this.#text.slice(this.#at, end === -1 ? undefined : end);
			this.#at = end === -1 ? this.#text.length : end + 2;
			return {kind: 'sequence', parts: Array.from(literal, character => this.#one(codePoint => codePoint === character.codePointAt(0)))};
		}
		if (this.#take('A')) {
			return {kind: 'between', holds: before => before === -1};
		}
		if (this.#take('z')) {
			return {kind: 'between', holds: (_before, after) => after === -1};
		}
		if (this.#sees('b') || this.#sees('B')) {
			const isInside = this.#next() === 66;
			return {kind: 'between', holds: (before, after) => (isWord(before) !== isWord(after)) !== isInside};
		}
		return this.#one(this.#escapedClass() ?? this.#exactly(this.#escapedCharacter()));
	}

	#class(): CharacterTest {
		const isNegated = this.#take('^');
		const tests: CharacterTest[] = [];
		do {
			tests.push(this.#classItem());
		} while (!this.#take(']'));
		const any: CharacterTest = codePoint => tests.some(test => test(codePoint));
		return negated(this.#flags.i ? foldingCase(any) : any, isNegated);
	}

	#classItem(): CharacterTest {
		const [posix, name = ''] = this.#match(/\[:(\^?[a-z]+):\]/y) ?? [];
		if (posix !== undefined) {
			this.#at += posix.length;
			return posixClass(name) ?? this.#fail(`unknown class ${posix}`);
		}
		const isEscaped = this.#take('\\');
		const set = isEscaped ? this.#escapedClass() : undefined;
		if (set !== undefined) {
			return set;
		}
		const low = isEscaped ? this.#escapedCharacter() : this.#next();
		if (!this.#sees('-') || this.#text[this.#at + 1] === ']') {
			return this.#exactly(low);
		}
		this.#at++;
		const high = this.#take('\\') ? this.#escapedCharacter() : this.#next();
		if (high < low) {
			throw this.#wrong('a range runs backwards');
		}
		return codePoint => codePoint >= low && codePoint <= high;
	}

	// After a backslash; undefined, and nothing read, when it is no class.
	#escapedClass(): CharacterTest | undefined {
		const perl = perlClass(this.#text[this.#at] ?? '');
		if (perl !== undefined) {
			this.#at++;
			return perl;
		}
		const [whole = '', kind, long, short] = this.#match(/([pP])(?:\{\^?(\w+)\}|([A-Z]))/y) ?? [];
		if (whole === '') {
			return undefined;
		}
		this.#at += whole.length;
		return unicodeClass(long ?? short ?? '', (kind === 'P') !== whole.includes('^')) ?? this.#fail(`unknown class \\${whole}`);
	}

	#escapedCharacter(): number {
		const [whole = '', braced, hex, octal] = this.#match(/x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))|(0[0-7]{0,2}|[1-7][0-7]{2})/y) ?? [];
		if (whole !== '') {
			this.#at += whole.length;
			const value = octal === undefined ? Number.parseInt(braced ?? hex ?? '', 16) : Number.parseInt(octal, 8);
			return value <= 0x10ffff ? value : this.#fail(`\\${whole} is no character`);
		}
		const character = this.#text[this.#at] ?? '';
		if (/[0-9A-Za-z]/.test(character) || character === '') {
			return CONTROL[character] === undefined ? this.#fail(`unknown escape \\${character}`) : this.#control(CONTROL[character]);
		}
		return this.#next();
	}

	#control(code: number): number {
		this.#at++;
		return code;
	}

	#exactly(wanted: number): CharacterTest {
		return codePoint => codePoint === wanted;
	}

	#one(test: CharacterTest): PatternTree {
		return {kind: 'one', test: this.#flags.i ? foldingCase(test) : test};
	}

	#next(): number {
		const codePoint = this.#text.codePointAt(this.#at);
		if (codePoint === undefined) {
			throw this.#wrong('it ends too early');
		}
		this.#at += codePoint > 0xffff ? 2 : 1;
		return codePoint;
	}

	#sees(character: string): boolean {
		return this.#text[this.#at] === character;
	}

	#take(character: string): boolean {
		const isThere = this.#sees(character);
		this.#at += isThere ? 1 : 0;
		return isThere;
	}

	#match(expression: RegExp): RegExpExecArray | undefined {
		expression.lastIndex = this.#at;
		return expression.exec(this.#text) ?? undefined;
	}

	#fail(why: string): never {
		throw this.#wrong(why);
	}

	#wrong(why: string): PatternError {
		return new PatternError(`${why} at ${this.#at}`);
	}
}
