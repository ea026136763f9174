import {readFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';

const root = path.join(import.meta.dirname, '../..');

/** Each line of the project's list of what went wrong elsewhere, in its order. */
const pains = [...Array.from({length: 30}, (_, at) => String(at + 1)), '#8980', '#8698', '#10995', '#5675', '#6318', '#12558'];
const advisories = [
	'CVE-2020-15157', 'CVE-2020-15257', 'CVE-2021-21334', 'CVE-2021-32760', 'CVE-2021-41103', 'CVE-2024-25621', 'CVE-2021-41190', 'CVE-2021-43816', 'CVE-2022-23648', 'CVE-2022-24769', 'CVE-2022-31030',
	'CVE-2022-23471', 'CVE-2025-64329', 'CVE-2023-25153', 'CVE-2023-25173', 'GHSA-7ww5', 'CVE-2024-40635', 'CVE-2025-47290', 'CVE-2026-46680', 'CVE-2026-47262', 'CVE-2026-53488', 'CVE-2026-53492',
	'CVE-2026-50195', 'CVE-2026-53489', 'CVE-2026-95838', 'CVE-2026-95839', 'CVE-2019-5736', 'CVE-2021-30465', 'CVE-2024-21626', 'CVE-2025-31133', 'CVE-2025-52565', 'CVE-2025-52881', 'runc floor',
	'CVE-2026-35469', 'CVE-2026-34986', 'npm supply chain', ...Array.from({length: 6}, (_, at) => `apple/container ${at + 1}`), 'trust model',
];
const practices = ['containerd, failpoints', 'containerd, fuzzing', 'containerd, suites', 'containerd, integration', 'cri-tools', 'etcd, bbolt', 'SQLite', 'CRI-O', 'systemd, Docker, LMDB'];

/** What concerns tar, manifests, digests, registries, labels and archives: a test is called by it. */
const byName = [
	'CVE-2020-15157', 'CVE-2021-32760', 'CVE-2021-41190', 'CVE-2022-23648', 'CVE-2023-25153', 'CVE-2024-40635', 'CVE-2025-47290', 'CVE-2026-46680', 'CVE-2026-47262', 'CVE-2026-53488', 'CVE-2026-53492',
	'CVE-2026-50195', 'CVE-2026-53489', 'CVE-2026-95838', 'CVE-2026-95839', ...Array.from({length: 6}, (_, at) => `apple/container ${at + 1}`),
];

async function rows(): Promise<readonly (readonly string[])[]> {
	const text = await readFile(path.join(root, 'docs/dangers.md'), 'utf8');
	const ofNoList = text.indexOf('## Of no list');
	return text.slice(0, ofNoList).split('\n').filter(line => /^\| (?!---|# |id |who )/.test(line)).map(line => line.slice(2, -2).split(' | '));
}

test('docs/dangers.md has each line of the list once, in its order, and no other', async t => {
	const ids = (await rows()).flatMap(([id = '']) => practices.includes(id) ? [id] : id.split(', '));
	t.deepEqual(ids, [...pains, ...advisories, ...practices]);
});

test('what concerns bytes of strangers is a test by name', async t => {
	const all = await rows();
	for (const id of byName) {
		const [, , held = ''] = all.find(([ids = '']) => ids.split(', ').includes(id)) ?? [];
		t.true(held.includes(`.ts\` "${id.replace(/ \d$/, '')}: `), `${id}: ${held}`);
	}
});

test('each line of docs/dangers.md names a test, what it waits for, or why not here', async t => {
	for (const row of await rows()) {
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
