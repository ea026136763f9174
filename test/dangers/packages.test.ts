import {readFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';

/** What went wrong elsewhere with what is built upon: docs/dangers.md names these tests. */
const root = path.join(import.meta.dirname, '../..');

interface Lock {
	readonly packages: Readonly<Record<string, {readonly integrity?: string; readonly resolved?: string; readonly dependencies?: Readonly<Record<string, string>>}>>;
}

test('supply chain: each package is locked by the hash of its bytes, and what is published depends on exact releases', async t => {
	const {packages} = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')) as Lock;
	const {'': own, ...others} = packages;
	t.true(Object.keys(others).length > 100);
	for (const [name, {integrity = '', resolved = 'https://registry.npmjs.org/'}] of Object.entries(others)) {
		t.regex(integrity, /^sha512-[A-Za-z0-9+/]{86}==$/, name);
		t.true(resolved.startsWith('https://registry.npmjs.org/'), `${name} comes from ${resolved}`);
	}
	for (const [name, release] of Object.entries(own?.dependencies ?? {})) {
		t.regex(release, /^\d+\.\d+\.\d+$/, name);
	}
});

test('supply chain: no package runs a program of its own when it is installed', async t => {
	const script = await readFile(path.join(root, 'scripts/setup'), 'utf8');
	const calls = script.match(/^[^#\n]*\bnpm (?:ci|install|i)\b.*$/gm) ?? [];
	t.is(calls.length, 1);
	t.true(calls.every(call => call.includes('--ignore-scripts')), calls.join('\n'));
});
