import test from 'ava';
import * as fc from 'fast-check';
import {compilePattern} from '../../lib/filters/pattern.ts';

const matches = (pattern: string, value: string): boolean => compilePattern(pattern, 0)(value);

for (const [pattern, value, expected] of [
	['', '', true], ['', 'x', true], ['a', 'bab', true], ['a', 'b', false], ['^a$', 'a', true], ['^a$', 'a\n', false], ['a.c', 'a\nc', false], ['(?s)a.c', 'a\nc', true],
	['(?m)^b$', 'a\nb\nc', true], ['^b$', 'a\nb\nc', false], ['(?i)docker', 'DOCKER', true], ['(?i:d)o', 'Do', true], ['(?i:d)o', 'DO', false], ['((?i)d)o', 'DO', false],
	['^[^a-c]+$', 'xyz', true], ['^[^a-c]+$', 'xaz', false], ['[]a]', ']', true], ['[a-]', '-', true], ['[[:alpha:]]+1', 'ab1', true], ['[[:^alpha:]]', 'ab', false],
	[String.raw`^\d{2,3}$`, '1', false], [String.raw`^\d{2,3}$`, '123', true], [String.raw`^\d{2,3}$`, '1234', false], ['^a{2,}$', 'aaaa', true], ['^a{2}$', 'aaa', false],
	['a{,2}', 'a{,2}', true], ['^x{0}$', '', true], [String.raw`\bfoo\b`, 'a foo b', true], [String.raw`\bfoo\b`, 'afoob', false], [String.raw`o\Bo`, 'foo', true],
	[String.raw`^\pL+$`, 'äß', true], [String.raw`\p{Greek}`, 'λ', true], [String.raw`\P{Greek}`, 'λ', false], [String.raw`^\x41\x{1F600}$`, 'A😀', true],
	[String.raw`\Qa.b\E+`, 'a.b', true], [String.raw`\Qa.b\E`, 'axb', false], [String.raw`\Aa|b\z`, 'xb', true], ['(?P<name>a)(?:b)', 'ab', true], ['a+?b*?', 'b', false],
	['^(a*)*$', 'aaa', true], ['^(a|b)*c$', 'ababc', true], ['^(|a)+$', 'aa', true], ['(?i)[a-c]x', 'BX', true], [String.raw`^[\d.]+$`, '1.2', true], ['[a-c-e]', '-', true],
] as const) {
	test(`/${pattern}/ ${expected ? 'matches' : 'does not match'} ${JSON.stringify(value)}`, t => {
		t.is(matches(pattern, value), expected);
	});
}

for (const pattern of [
	'(', ')', 'a)', '[', '[]', '[a', '*', '+a', '?', 'a**', 'a+*', 'a{3,2}', 'a{1001}', '(?=a)', '(?!a)', '(?<=a)', '(?<!a)', String.raw`(a)\1`, String.raw`\k<a>`, '\\', String.raw`\p{Nobody}`,
	'[z-a]', '[[:nobody:]]', '(?x)a', String.raw`\x{110000}`,
]) {
	test(`/${pattern}/ is no expression, and matches nothing`, t => {
		const judge = compilePattern(pattern, 0);
		t.false(judge(''));
		t.false(judge(pattern));
	});
}

test('/((a{100}){100}){100}/ is too large, and refused', t => {
	t.throws(() => compilePattern('((a{100}){100}){100}', 0), {code: 'INVALID_ARGUMENT'});
});

test('a pattern that would keep others busy for hours is done at once', t => {
	const value = `${'a'.repeat(4000)}!`;
	const begun = performance.now();
	for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '(.*a){20}$']) {
		t.false(matches(pattern, value));
	}
	t.true(performance.now() - begun < 5000);
});

test('it agrees with expressions of the language itself', t => {
	const piece = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', 'a*', 'b+', 'a?', '(a|b)', '(ab)*', 'b{1,2}', '^', '$', '(?:b|)', String.raw`\w`, String.raw`\b`);
	fc.assert(fc.property(fc.array(piece, {maxLength: 6}), fc.stringMatching(/^[ab ]{0,8}$/), (pieces, value) => {
		const pattern = pieces.join('');
		t.is(matches(pattern, value), new RegExp(pattern).test(value), `${pattern} on ${JSON.stringify(value)}`);
	}), {numRuns: 2000});
});
