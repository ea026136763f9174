import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {Database} from '../../lib/sqlite/database.ts';

const migrations = ['CREATE TABLE fruit (name TEXT PRIMARY KEY, weight INTEGER NOT NULL) WITHOUT ROWID'];

async function temporary(): Promise<AsyncDisposable & {readonly path: string}> {
	const directory = await mkdtemp(join(tmpdir(), 'keelson-sqlite-'));
	return {path: join(directory, 'fruit.db'), [Symbol.asyncDispose]: async () => rm(directory, {recursive: true})};
}

test('what a transaction wrote is there for the next one who opens the file', async t => {
	await using file = await temporary();
	{
		using database = new Database({path: file.path, migrations});
		database.transaction(() => database.run('INSERT INTO fruit VALUES (?, ?)', 'apple', 120));
	}
	using again = new Database({path: file.path, migrations});
	t.deepEqual({...again.get('SELECT * FROM fruit')}, {name: 'apple', weight: 120});
});

test('a transaction that throws leaves nothing, nor does one within it', t => {
	using database = new Database({path: ':memory:', migrations});
	t.throws(() => database.transaction(() => {
		database.run('INSERT INTO fruit VALUES (?, ?)', 'apple', 120);
		database.transaction(() => database.run('INSERT INTO fruit VALUES (?, ?)', 'pear', 150));
		throw new Error('no fruit today');
	}), {message: 'no fruit today'});
	t.deepEqual(database.all('SELECT * FROM fruit'), []);
	t.false(database.isInTransaction);
});

test('only the steps that a file has not had are run', async t => {
	await using file = await temporary();
	new Database({path: file.path, migrations})[Symbol.dispose]();
	using database = new Database({path: file.path, migrations: [...migrations, 'ALTER TABLE fruit ADD COLUMN colour TEXT']});
	t.is(database.run('INSERT INTO fruit VALUES (?, ?, ?)', 'apple', 120, 'red'), 1);
});

test('a step that fails is undone and run again next time', async t => {
	await using file = await temporary();
	t.throws(() => new Database({path: file.path, migrations: ['CREATE TABLE a (x); CREATE TABLE a (x)']}));
	using database = new Database({path: file.path, migrations: ['CREATE TABLE a (x)']});
	t.deepEqual(database.all('SELECT * FROM a'), []);
});

test('a file of a newer schema is refused', async t => {
	await using file = await temporary();
	new Database({path: file.path, migrations: [...migrations, 'SELECT 1']})[Symbol.dispose]();
	t.throws(() => new Database({path: file.path, migrations}), {code: 'FAILED_PRECONDITION', message: /schema 2/});
});

test('what is no database is data loss, what cannot be opened a failed precondition', async t => {
	await using file = await temporary();
	await writeFile(file.path, 'not a database at all, but long enough to be one'.repeat(100));
	t.throws(() => new Database({path: file.path, migrations}), {code: 'DATA_LOSS'});
	t.throws(() => new Database({path: join(file.path, 'below-a-file'), migrations}), {code: 'FAILED_PRECONDITION'});
});

test('a second writer waits its time and is then told that it is busy', async t => {
	await using file = await temporary();
	using first = new Database({path: file.path, migrations});
	using second = new Database({path: file.path, migrations, busyTimeoutMs: 20});
	first.transaction(() => {
		t.throws(() => second.transaction(() => second.run('DELETE FROM fruit')), {code: 'UNAVAILABLE'});
	});
});

test('closing twice is harmless', t => {
	const database = new Database({path: ':memory:', migrations});
	database[Symbol.dispose]();
	t.notThrows(() => {
		database[Symbol.dispose]();
	});
});
