import {readFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';

const root = path.join(import.meta.dirname, '../..');

/** Each line of the project's list of what clients rely on, by a short name. */
const facts = [
	'skip', 'runtime-info', 'snapshot-capabilities', 'snapshot-mounts', 'snapshot-labels', 'filter-fields', 'filter-quotes', 'mask-container', 'mask-image', 'namespace', 'id-limit', 'forward',
	'unknown-types', 'mount-activation', 'own-root', 'options-replace', 'options-root', 'runtime-missing', 'runtime-words', 'kill-gone', 'killed-init', 'failed-create', 'late-exec', 'exec-details',
	'bundle', 'shim-log', 'runtime-path', 'shim-start', 'shim-socket', 'shim-score', 'shim-cgroup', 'shim-groups', 'shared-shims', 'checkpoint', 'cgroup-path', 'migrate', 'restart-monitor', 'echo',
	'container-path', 'outlive', 'pin', 'fifo-checkpoint', ...Array.from({length: 10}, (_, at) => `trap ${at + 1}`),
	'types-json', 'types-kept', 'types-error', 'types-runc', 'types-metrics', 'types-events', 'types-runtime', 'types-transfer', 'types-streaming',
];

/** Columns, in which a bar is written with a backslash. */
async function rows(): Promise<readonly (readonly string[])[]> {
	const text = await readFile(path.join(root, 'docs/semantics.md'), 'utf8');
	return text.split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| id ')).map(line => line.slice(2, -2).split(/(?<!\\) \| /));
}

test('docs/semantics.md has each line of the list once', async t => {
	t.deepEqual((await rows()).map(([id]) => id), facts);
});

test('each line of docs/semantics.md names tests that are there, by file and title, or what it waits for', async t => {
	for (const [id, , held = ''] of await rows()) {
		const named = [...held.matchAll(/`(?<file>(?:test|contracts)\/[^`]+\.ts)` "(?<title>(?:\\"|[^"])+)"/g)];
		t.true(named.length > 0 || /^waits for \w/.test(held), `${id}: ${held}`);
		for (const {groups: {file = '', title = ''} = {}} of named) {
			const source = await readFile(path.join(root, file), 'utf8').catch(() => '');
			const plain = title.replaceAll(/\\(?=["|'])/g, '');
			t.true(source.replaceAll(String.raw`\'`, '\'').includes(plain), `${file} has no test ${JSON.stringify(plain)}`);
		}
	}
});
