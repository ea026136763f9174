import {createHash} from 'node:crypto';
import {mkdtemp, readFile, readdir, readlink, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {contentSuite} from '../../contracts/content/content.suite.ts';
import {Growth} from '../../contracts/content/growth.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {BlobDirectory} from '../../plugins/content-local/blob-directory.ts';
import {IngestDirectory} from '../../plugins/content-local/ingest-directory.ts';
import {IngestWorker} from '../../plugins/content-local/ingest-worker-client.ts';
import {LocalContentStore} from '../../plugins/content-local/store.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {until} from '../helpers/until.ts';

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

/** A blob that is too large to be kept in memory. */
async function keepLarge(store: ContentStore): Promise<Digest> {
	await using writer = await store.writer({ref: 'large'});
	await writer.write(Buffer.alloc(100_000, 'large'));
	return await writer.commit();
}

async function openFiles(name: string): Promise<number> {
	const links = await Promise.all((await readdir('/proc/self/fd')).map(async fd => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
	return links.filter(link => link.includes(name)).length;
}

test.serial('a blob that is read by many calls is opened once, and closed a moment later', async t => {
	await using store = await localStore();
	const digest = await keepLarge(store);
	const hex = digest.slice('sha256:'.length);
	for (let offset = 0; offset < 100_000; offset += 10_000) {
		await using reader = await store.open(digest);
		t.is(Buffer.concat(await Array.fromAsync(reader.read({offset, size: 10_000}))).toString(), 'large'.repeat(2000));
		t.is(await openFiles(hex), 1);
	}
	await until('the file to be closed', async () => await openFiles(hex) === 0);
});

test.serial('a large blob that was just read is not found once it is deleted, and whoever reads it reads on', async t => {
	await using store = await localStore();
	const digest = await keepLarge(store);
	const hex = digest.slice('sha256:'.length);
	{
		await using reader = await store.open(digest);
		await using other = await store.open(digest);
		await store.delete(digest);
		await t.throwsAsync(store.open(digest), {code: 'NOT_FOUND'});
		for (const one of [reader, other]) {
			t.is(Buffer.concat(await Array.fromAsync(one.read())).length, 100_000);
		}
	}
	t.is(await openFiles(hex), 0);
	t.is(await keepLarge(store), digest);
	await using again = await store.open(digest);
	t.is(again.size, 100_000);
});

test('memory that threads share is written from where it lies, in order with other bytes, and may change afterwards', async t => {
	await using store = await localStore();
	await using writer = await store.writer({ref: 'r'});
	const piece = new Uint8Array(new SharedArrayBuffer(256 * 1024), 1000, 200_000);
	const hash = createHash('sha256');
	for (let round = 0; round < 20; round++) {
		const small = Buffer.from(`round ${round}`);
		piece.fill(round);
		hash.update(small).update(piece);
		await writer.write(small);
		await writer.write(piece);
	}
	const digest = await writer.commit();
	t.is(digest, `sha256:${hash.digest('hex')}`);
	await using reader = await store.open(digest);
	t.is(createHash('sha256').update(Buffer.concat(await Array.fromAsync(reader.read()))).digest('hex'), digest.slice('sha256:'.length));
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
