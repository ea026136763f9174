import type {CharacterTest} from './pattern-tree.ts';

const matching = (expression: RegExp): CharacterTest => codePoint => expression.test(String.fromCodePoint(codePoint));

/** Perl's classes as RE2 has them: ASCII alone. */
const PERL: Readonly<Record<string, RegExp>> = {d: /\d/, D: /\D/, w: /\w/, W: /\W/, s: /[\t\n\f\r ]/, S: /[^\t\n\f\r ]/};

const POSIX: Readonly<Record<string, RegExp>> = {
	alnum: /[0-9A-Za-z]/, alpha: /[A-Za-z]/, ascii: /\p{ASCII}/u, blank: /[\t ]/, cntrl: /(?=\p{ASCII})\p{Cc}/u, digit: /\d/, graph: /[!-~]/, lower: /[a-z]/,
	print: /[ -~]/, punct: /[!-/:-@[-`{-~]/, space: /[\t-\r ]/, upper: /[A-Z]/, word: /\w/, xdigit: /[0-9A-Fa-f]/,
};

export function perlClass(letter: string): CharacterTest | undefined {
	const expression = Object.hasOwn(PERL, letter) ? PERL[letter] : undefined;
	return expression === undefined ? undefined : matching(expression);
}

/** `name` as between `[:` and `:]`, with a `^` before it to negate. */
export function posixClass(name: string): CharacterTest | undefined {
	const bare = name.replace(/^\^/, '');
	const expression = Object.hasOwn(POSIX, bare) ? POSIX[bare] : undefined;
	return expression === undefined ? undefined : negated(matching(expression), bare !== name);
}

/** A general category or a script of Unicode. */
export function unicodeClass(name: string, isNegated: boolean): CharacterTest | undefined {
	for (const property of [name, `Script=${name}`]) {
		try {
			return negated(matching(new RegExp(`\\p{${property}}`, 'u')), isNegated);
		} catch {
			// Not a property of this kind.
		}
	}
	return undefined;
}

export function negated(test: CharacterTest, isNegated: boolean): CharacterTest {
	return isNegated ? codePoint => !test(codePoint) : test;
}

/** The same in either case. */
export function foldingCase(test: CharacterTest): CharacterTest {
	return codePoint => {
		const text = String.fromCodePoint(codePoint);
		return test(codePoint) || [text.toLowerCase(), text.toUpperCase()].some(other => {
			const code = other.codePointAt(0);
			return code !== undefined && String.fromCodePoint(code) === other && test(code);
		});
	};
}
