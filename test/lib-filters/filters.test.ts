import test from 'ava';
import {compileFilters} from '../../lib/filters/filters.ts';

type Fields = Readonly<Record<string, string>>;
const matches = (filters: readonly string[], fields: Fields): boolean => compileFilters(filters)(path => fields[path.join('/')]);

const image: Fields = {name: 'docker.io/library/alpine:3', 'target/digest': 'sha256:ab', 'labels/a.b': 'x', 'labels/with space': 'y,z', 'labels/empty': ''};

for (const [filter, expected] of [
	['', true],
	['name==docker.io/library/alpine:3', true],
	['name == docker.io/library/alpine:3', true],
	['name=="docker.io/library/alpine:3"', true],
	['name==alpine', false],
	['name!=alpine', true],
	['name!=docker.io/library/alpine:3', false],
	['name~=alpine', true],
	['name~=^alpine', false],
	['name~=|^docker.io/|', true],
	[String.raw`name~=/^docker\.io\/library/`, true],
	['name~=/library.alpine:[0-9]$/', true],
	['name==|docker.io/library/alpine:3|', true],
	['target.digest', true],
	['target.mediatype', false],
	['target.mediatype!=x', true],
	['target.mediatype==""', false],
	['labels.a.b==x', true],
	['labels."a.b"==x', true],
	['labels."with space"=="y,z"', true],
	['labels.empty', true],
	['labels.empty==""', true],
	['labels.missing', false],
	['labels.missing~=^$', true],
	['labels.missing~=x', false],
	['labels.missing~=/.*/', true],
	['target.mediatype~=^$', true],
	['name~=^$', false],
	['name~="("', false],
	['labels.missing~="("', false],
	['name~="(?=d)"', false],
	['name~="(?!x)"', false],
	['name~="(?<=a)"', false],
	['name~="(?<!a)"', false],
	[String.raw`name~="(a)\\1"`, false],
	['name~=alpine,labels.a.b==x', true],
	['name~=alpine,labels.a.b==y', false],
	['name~=alpine , target.digest', true],
	[String.raw`labels."a\x2eb"=="\u0078"`, true],
] as const) {
	test(`${filter === '' ? 'the empty filter' : filter} ${expected ? 'holds' : 'does not hold'}`, t => {
		t.is(matches([filter], image), expected);
	});
}

test('no filter holds for everything', t => {
	t.true(matches([], {}));
});

test('a pattern that is no expression takes nothing from the other filters', t => {
	t.true(matches(['name~="("', 'labels.a.b==x'], image));
});

test('one of several filters is enough', t => {
	t.true(matches(['name==other', 'labels.a.b==x'], image));
	t.false(matches(['name==other', 'labels.a.b==y'], image));
});

for (const [filter, position] of [
	['name=x', 4], ['name===x', 4], ['name==', 6], ['name==x y', 8], [',name', 0], ['name,', 5], ['name.', 5], ['name=="x', 6], ['name~=/x', 6], ['==x', 0],
	['|name|==x', 0], [String.raw`name=="\q"`, 7],
] as const) {
	test(`${filter} is refused at ${position}`, t => {
		t.throws(() => compileFilters([filter]), {code: 'INVALID_ARGUMENT', message: new RegExp(String.raw`at ${position}\b`)});
	});
}

test('a filter without end is refused', t => {
	t.throws(() => compileFilters(['a'.repeat(100_000)]), {code: 'INVALID_ARGUMENT'});
	t.throws(() => compileFilters([`name~=${'a'.repeat(10_000)}`]), {code: 'INVALID_ARGUMENT'});
	t.throws(() => compileFilters(['name~="((a{20}){20}){20}"']), {code: 'INVALID_ARGUMENT', message: /at 6 is too large/});
});
