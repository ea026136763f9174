import {mkdtemp, readFile, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {contentSuite} from '../../contracts/content/content.suite.ts';
import {Growth} from '../../contracts/content/growth.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import {BlobDirectory} from '../../plugins/content-local/blob-directory.ts';
import {IngestDirectory} from '../../plugins/content-local/ingest-directory.ts';
import {IngestWorker} from '../../plugins/content-local/ingest-worker-client.ts';
import {LocalContentStore} from '../../plugins/content-local/store.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';

contentSuite(test, {name: 'memory', supports: {labels: true}, create: async () => new MemoryContentStore()});
contentSuite(test, {name: 'content-local', supports: {labels: false}, create: async () => localStore()});

test('a blob lies in a read-only file of its name, whose directory only root may enter', async t => {
	await using store = await localStore();
	await using writer = await store.writer({ref: 'r'});
	await writer.write(Buffer.from('abc'));
	const digest = await writer.commit();
	await using reader = await store.open(digest);
	t.is(await readFile(reader.file ?? '', 'utf8'), 'abc');
	t.deepEqual(await readdir(path.join(store.directory, 'ingest')), []);
});

test('an ingest survives the store that began it, and is hashed from its first byte', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-content-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	{
		await using store = await localStore(directory);
		await using writer = await store.writer({ref: 'r', total: 6});
		await writer.write(Buffer.from('abc'));
	}
	await using store = await localStore(directory);
	await using writer = await store.writer({ref: 'r', total: 6});
	await writer.write(Buffer.from('def'));
	t.is(await writer.commit(), 'sha256:bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721');
});

test('a blob that is deleted while it is read is read to its end', async t => {
	await using store = await localStore();
	await using writer = await store.writer({ref: 'r'});
	await writer.write(Buffer.from('abc'));
	const digest = await writer.commit();
	await using reader = await store.open(digest);
	await store.delete(digest);
	t.is(Buffer.concat(await Array.fromAsync(reader.read())).toString(), 'abc');
});

async function localStore(kept?: string): Promise<ContentStore & AsyncDisposable & {directory: string}> {
	const directory = kept ?? await mkdtemp(path.join(tmpdir(), 'keelson-content-'));
	const worker = new IngestWorker();
	const store = new LocalContentStore({
		blobs: await BlobDirectory.open(path.join(directory, 'blobs')),
		ingests: await IngestDirectory.open(path.join(directory, 'ingest')),
		worker,
	});
	return Object.assign(store, {
		directory,
		async [Symbol.asyncDispose]() {
			await worker[Symbol.asyncDispose]();
			if (kept === undefined) {
				await rm(directory, {recursive: true, force: true});
			}
		},
	});
}

test('what is written can be followed: whole once its digest is right, given up when it is cut or left', async t => {
	await using store = await localStore();
	const bytes = Buffer.alloc(3_000_000, 'keelson ');
	await using first = await store.writer({ref: 'right', total: bytes.length});
	await first.write(bytes.subarray(0, 1_500_000));
	await using growing = await first.follow?.();
	const growth = new Growth(growing?.growth);
	for (let {changes} = growth; growth.bytes < 1_500_000; {changes} = growth) {
		await growth.changed(changes, 1000);
	}
	t.deepEqual(await readFile(growing?.file ?? ''), bytes.subarray(0, 1_500_000));
	await first.write(bytes.subarray(1_500_000));
	await t.throwsAsync(first.commit({expected: `sha256:${'0'.repeat(64)}`}), {code: 'FAILED_PRECONDITION'});
	t.false(growth.isWhole);
	await first.commit();
	t.true(growth.isWhole);
	t.deepEqual(await readFile(growing?.file ?? ''), bytes);
	t.is(await first.follow?.(), undefined);

	const second = await store.writer({ref: 'cut'});
	await second.write(bytes.subarray(0, 10));
	await using cut = await second.follow?.();
	await second.truncate(0);
	t.true(new Growth(cut?.growth).isAbandoned);
	await using left = await second.follow?.();
	await second[Symbol.asyncDispose]();
	t.true(new Growth(left?.growth).isAbandoned);
});
