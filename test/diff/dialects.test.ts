import {open, stat} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {layerOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import {gnuFormats, gnuTar, makeTree, sparseFile} from '../helpers/gnu-tar.ts';
import {createDiffer} from '../helpers/tar-differ.ts';
import {tar, type TarEntry} from '../helpers/tar-writer.ts';

/** What is on the disk of a file with holes is less than its size. */
async function holes(root: string): Promise<readonly string[]> {
	const files = listTree(root).map(line => line.split(' ')[0] ?? '').filter(name => name.startsWith('/sparse/'));
	const found = await Promise.all(files.map(async name => {
		const {size, blocks} = await stat(path.join(root, name));
		return blocks * 512 + 4096 < size ? [name] : [];
	}));
	return found.flat();
}

for (const {name, args, parts} of gnuFormats) {
	test(`what GNU tar writes as ${name} becomes, entry by entry, what it was made of`, async t => {
		await using differ = await createDiffer();
		await using place = await Workplace.open();
		const tree = await place.make('tree');
		await makeTree(tree, parts);
		await gnuTar(tree, place.at('archive'), args);
		await differ.apply({...layerOf(Buffer.alloc(0)), file: place.at('archive')}, await place.bind('applied'));
		const expected = listTree(tree);
		t.true(expected.length > parts.length);
		t.deepEqual(listTree(place.at('applied')), expected);
		t.deepEqual(await holes(place.at('applied')), await holes(tree));
		t.is((await holes(tree)).length > 10, parts.includes('sparse'));
	});
}

for (const {name, args} of gnuFormats.filter(({parts}) => parts.includes('sparse'))) {
	test(`a sparse file beyond 8 GiB, as ${name} has it, keeps its size, its bytes and its holes`, async t => {
		await using differ = await createDiffer();
		await using place = await Workplace.open();
		const size = 9 * 1024 ** 3 + 4097;
		const offsets = [0, 4 * 1024 ** 3, size - 4097];
		sparseFile(path.join(await place.make('tree'), 'huge'), offsets, size);
		await gnuTar(place.at('tree'), place.at('archive'), args);
		await differ.apply({...layerOf(Buffer.alloc(0)), file: place.at('archive')}, await place.bind('applied'));
		const applied = await stat(place.at('applied/huge'));
		t.is(applied.size, size);
		t.true(applied.blocks * 512 < 1024 ** 2);
		await using file = await open(place.at('applied/huge'));
		for (const offset of offsets) {
			const {buffer} = await file.read(Buffer.alloc(4096), 0, 4096, offset);
			t.true(buffer.equals(Buffer.alloc(4096, `data at ${offset} `)), `${offset}`);
		}
	});
}

test('what star writes, with times behind a prefix that fills its field, is what pax says in records', async t => {
	await using differ = await createDiffer();
	await using place = await Workplace.open();
	const prefix = 'p'.repeat(131);
	const entries: readonly TarEntry[] = [
		{name: 'd/', type: 'directory', mode: 0o1755}, {name: 'd/file', body: 'star\n', mode: 0o4755, uid: 12, gid: 34}, {name: 'd/hard', type: 'hardlink', link: 'd/file', mode: 0o4755, uid: 12, gid: 34},
		{name: 'soft', type: 'symlink', link: 'd/file'}, {name: 'null', type: 'char', device: [1, 3]}, {name: 'fifo', type: 'fifo'},
		{name: `${prefix}/file`, body: 'x'}, {name: `${prefix}/${'n'.repeat(100)}`, body: 'y'}, {name: 'owned', uid: 3_000_000, gid: 3_000_001},
	];
	for (const dialect of ['pax', 'star'] as const) {
		await differ.apply(layerOf(tar(entries, dialect)), await place.bind(dialect));
	}
	// The directory that is only implied has the time of its making.
	const listed = (dialect: string): readonly string[] => listTree(place.at(dialect), {isWithoutDirectoryTimes: true});
	t.is(listed('star').length, entries.length + 1);
	t.deepEqual(listed('star'), listed('pax'));
});
