import {mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {unpackCheckpoint} from '../../plugins/shim/manager/unpack-checkpoint.ts';
import {restoreConfig} from '../../plugins/shim/process/held-files.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {createDiffer} from '../helpers/tar-differ.ts';
import {tar, type TarEntry} from '../helpers/tar-writer.ts';

/** What went wrong elsewhere with checkpoints, whose bytes are a stranger's: docs/dangers.md names these tests. */
const checkpointType = 'application/vnd.containerd.container.criu.checkpoint.criu.tar';

test('CVE-2026-53489: links in the archive of a checkpoint lead to no file of this machine', async t => {
	await using place = await Workplace.open();
	await using differ = await createDiffer();
	const outside = await place.make('outside');
	await mkdir(path.join(outside, 'directory'));
	await writeFile(path.join(outside, 'secret'), 'secret\n', {mode: 0o600});
	const before = listTree(outside);
	let count = 0;
	const unpack = async (entries: readonly TarEntry[], mediaType = checkpointType): Promise<string> => {
		await using content = new MemoryContentStore();
		const bytes = tar(entries);
		await using writer = await content.writer({ref: 'checkpoint'});
		await writer.write(bytes);
		const digest = await writer.commit();
		const directory = place.at(`image-${count++}`);
		await unpackCheckpoint({mediaType, digest, size: bytes.length}, {content, differ, directory, namespace: 'dangers', signal: new AbortController().signal});
		return directory;
	};
	for (const link of [outside, '../outside']) {
		const image = await unpack([
			{name: 'dump.log', type: 'symlink', link: `${link}/secret`}, {name: 'dump.log', body: 'mine'},
			{name: 'd', type: 'symlink', link}, {name: 'd/secret', body: 'mine'}, {name: 'd/directory/', type: 'directory', mode: 0o777},
			{name: 'keelson-stdio.json', type: 'symlink', link: `${link}/secret`},
		]);
		t.is(await readFile(path.join(image, 'dump.log'), 'utf8'), 'mine');
		await t.throwsAsync(restoreConfig(place.at('outside'), image), {code: 'INVALID_ARGUMENT', message: 'checkpoint: keelson-stdio.json cannot be read'});
	}
	await t.throwsAsync(unpack([{name: '../outside/secret', body: 'mine'}]), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(unpack([{name: 'fine'}], mediaTypes.ociLayer), {code: 'INVALID_ARGUMENT', message: /unsupported checkpoint type/v});
	t.deepEqual(listTree(outside), before);
});

test('CVE-2026-53492: a checkpoint tells CRIU of standard streams and of nothing else', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-checkpoint-'));
	t.teardown(async () => rm(directory, {recursive: true}));
	const file = path.join(directory, 'keelson-stdio.json');
	t.is(await restoreConfig(directory, directory), undefined);
	await writeFile(file, JSON.stringify([{fd: 1, key: 'file[1f:2a]'}]));
	t.is(await readFile(await restoreConfig(directory, directory) ?? '', 'utf8'), 'inherit-fd fd[1]:file[1f:2a]\nskip-file-rwx-check\n');
	const key = 'file[1f:2a]';
	for (const hostile of [
		{fd: 1, key: `${key}\naction-script /bin/sh`}, {fd: 3, key}, {fd: '1', key}, {fd: 1, key: 'dev[1/3]'}, {fd: 1, key: `${key} lib /tmp`}, {fd: 1}, null, 'x',
	]) {
		await writeFile(file, JSON.stringify([hostile]));
		await t.throwsAsync(restoreConfig(directory, directory), {code: 'INVALID_ARGUMENT'}, JSON.stringify(hostile));
	}
	await writeFile(file, `[${' '.repeat(1_000_000)}]`);
	await t.throwsAsync(restoreConfig(directory, directory), {code: 'INVALID_ARGUMENT'});
	await rm(file);
	await symlink('/dev/zero', file);
	await t.throwsAsync(restoreConfig(directory, directory), {code: 'INVALID_ARGUMENT'});
});
