import {glob, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';

test('the kernel has no container word', async (t) => {
	const directory = join(import.meta.dirname, '../../kernel');
	let count = 0;
	for await (const name of glob('**/*.ts', {cwd: directory})) {
		count++;
		const words = (await readFile(join(directory, name), 'utf8')).match(/\b(?:images?|snapshots?|layers?|digests?|tasks?|shims?|oci|mounts?|registry|registries)\b/gi);
		t.deepEqual(words ?? [], [], name);
	}
	t.true(count > 10);
});
