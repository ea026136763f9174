import {readFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';

const root = path.join(import.meta.dirname, '../..');

/** Each line of the project's list of what went wrong elsewhere. */
const pains = Array.from({length: 30}, (_, at) => String(at + 1));
const advisories = [
	'CVE-2020-15157', 'CVE-2020-15257', 'CVE-2021-21334', 'CVE-2021-32760', 'CVE-2021-41103', 'CVE-2024-25621', 'CVE-2021-41190', 'CVE-2021-43816', 'CVE-2022-23648', 'CVE-2022-24769', 'CVE-2022-31030',
	'CVE-2022-23471', 'CVE-2023-25153', 'CVE-2023-25173', 'GHSA-7ww5', 'CVE-2024-40635', 'CVE-2025-47290', 'CVE-2025-64329', 'CVE-2026-46680', 'CVE-2026-47262', 'CVE-2026-53488', 'CVE-2026-53492',
	'CVE-2026-50195', 'CVE-2026-53489', 'CVE-2026-95838', 'CVE-2026-95839', 'CVE-2019-5736', 'CVE-2021-30465', 'CVE-2024-21626', 'CVE-2025-31133',
	...Array.from({length: 6}, (_, at) => `apple/container ${at + 1}`),
];

async function rows(): Promise<readonly (readonly string[])[]> {
	const text = await readFile(path.join(root, 'docs/dangers.md'), 'utf8');
	return text.split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| ---')).map(line => line.slice(2, -2).split(' | '));
}

test('docs/dangers.md has each line of the list once', async t => {
	const ids = (await rows()).flatMap(([id = '']) => id.split(', '));
	for (const id of [...pains, ...advisories]) {
		t.is(ids.filter(one => one === id).length, 1, id);
	}
});

test('each line of docs/dangers.md names a test, what it waits for, or why not here', async t => {
	for (const row of (await rows()).filter(([id = '']) => id !== '#' && id !== 'id' && id !== 'danger')) {
		t.regex(row.at(-1) ?? '', /`(?:test|contracts)\/[^`]+\.ts` "[^"]+"|waits for \w|not here: \w|measured by/, row.join(' | '));
	}
});

test('each test that docs/dangers.md names is there, by file and title', async t => {
	const text = await readFile(path.join(root, 'docs/dangers.md'), 'utf8');
	const named = [...text.matchAll(/`((?:test|contracts)\/[^`]+\.ts)` "([^"]+)"/g)];
	t.true(named.length > 60);
	for (const [, file = '', title = ''] of named) {
		const source = await readFile(path.join(root, file), 'utf8').catch(() => undefined);
		t.true(source !== undefined, `${file} is not there`);
		t.true(source?.replaceAll(String.raw`\'`, '\'').includes(title), `${file} has no test ${JSON.stringify(title)}`);
	}
});
