import {createHash} from 'node:crypto';
import type {ExecutionContext, TestFn} from 'ava';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Digest} from '../oci/digest.ts';
import type {ContentReader, ContentStore, ContentWriter} from './content.ts';

export interface ContentSubject {
	readonly name: string;
	/** A fresh, empty store of its own; disposed when the test ends. */
	create(): Promise<ContentStore & AsyncDisposable>;
	/** The only way to leave tests out: what the implementation says in public that it cannot do. */
	readonly supports: {
		/** Labels of blobs. */
		readonly labels: boolean;
	};
}

/** Every content store passes this, in this process or behind a socket. */
export function contentSuite(test: TestFn, {name, create, supports}: ContentSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, store: ContentStore) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using store = await create();
			await tell(t, store);
		});
	};

	story('what is written can be read back, whole and in ranges', async (t, store) => {
		const digest = await put(store, 'r1', 'hello, house');
		t.is(await read(store, digest), 'hello, house');
		t.is(await read(store, digest, {offset: 7}), 'house');
		t.is(await read(store, digest, {offset: 7, size: 3}), 'hou');
		t.is(await read(store, digest, {offset: 12}), '');
	});

	story('reading beyond the end is out of range', async (t, store) => {
		const digest = await put(store, 'r1', 'abc');
		await t.throwsAsync(read(store, digest, {offset: 4}), {code: 'OUT_OF_RANGE'});
	});

	story('an empty blob is a blob', async (t, store) => {
		const digest = await put(store, 'r1', '');
		t.is(digest, digestOf(''));
		t.is((await store.info(digest)).size, 0);
		t.is(await read(store, digest), '');
	});

	story('a blob of many chunks comes back in order', async (t, store) => {
		const parts = Array.from({length: 40}, (_, index) => Buffer.alloc(100_000, index));
		await using writer = await store.writer({ref: 'big'});
		for (const part of parts) {
			await writer.write(part);
		}
		const digest = await writer.commit({size: 4_000_000});
		const hash = createHash('sha256');
		await using reader = await store.open(digest);
		for await (const chunk of reader.read()) {
			hash.update(chunk);
		}
		t.is(reader.size, 4_000_000);
		t.is(`sha256:${hash.digest('hex')}`, digest);
	});

	story('what was never written is not found', async (t, store) => {
		const digest = digestOf('never');
		await t.throwsAsync(store.info(digest), {code: 'NOT_FOUND'});
		await t.throwsAsync(read(store, digest), {code: 'NOT_FOUND'});
		await t.throwsAsync(store.delete(digest), {code: 'NOT_FOUND'});
		await t.throwsAsync(store.status('never'), {code: 'NOT_FOUND'});
		await t.throwsAsync(store.abort('never'), {code: 'NOT_FOUND'});
	});

	story('a blob is invisible until it is committed', async (t, store) => {
		await using writer = await store.writer({ref: 'r1'});
		await writer.write(Buffer.from('abc'));
		await t.throwsAsync(store.info(digestOf('abc')), {code: 'NOT_FOUND'});
		await writer.commit();
		t.is((await store.info(digestOf('abc'))).size, 3);
	});

	story('a wrong digest or size refuses the commit and keeps the ingest', async (t, store) => {
		await using writer = await store.writer({ref: 'r1'});
		await writer.write(Buffer.from('abc'));
		await t.throwsAsync(writer.commit({expected: digestOf('abd')}), {code: 'FAILED_PRECONDITION'});
		await letGo(writer);
		await using second = await store.writer({ref: 'r1'});
		await t.throwsAsync(second.commit({size: 4}), {code: 'FAILED_PRECONDITION'});
		t.is((await store.status('r1')).offset, 3);
		await t.throwsAsync(store.info(digestOf('abc')), {code: 'NOT_FOUND'});
	});

	story('a writer knows the digest of what is written so far', async (t, store) => {
		{
			await using first = await store.writer({ref: 'r1'});
			t.is(await first.digest(), digestOf(''));
			await first.write(Buffer.from('abc'));
			t.is(await first.digest(), digestOf('abc'));
		}
		await using second = await store.writer({ref: 'r1'});
		t.is(await second.digest(), digestOf('abc'));
		await second.write(Buffer.from('def'));
		t.is(await second.digest(), digestOf('abcdef'));
		t.is(await second.commit(), digestOf('abcdef'));
	});

	story('an ingest goes on where the last writer left it', async (t, store) => {
		{
			await using first = await store.writer({ref: 'r1', total: 6});
			await first.write(Buffer.from('abc'));
		}
		const status = await store.status('r1');
		t.is(status.offset, 3);
		t.is(status.total, 6);
		await using second = await store.writer({ref: 'r1', total: 6});
		t.is(second.status().offset, 3);
		await second.write(Buffer.from('def'));
		t.is(await second.commit({expected: digestOf('abcdef')}), digestOf('abcdef'));
	});

	story('a ref has one writer at a time', async (t, store) => {
		const first = await store.writer({ref: 'r1'});
		await t.throwsAsync(store.writer({ref: 'r1'}), {code: 'UNAVAILABLE'});
		await first[Symbol.asyncDispose]();
		await using again = await store.writer({ref: 'r1'});
		t.is(again.status().ref, 'r1');
	});

	story('an ingest can be cut down and begun anew', async (t, store) => {
		await using writer = await store.writer({ref: 'r1'});
		await writer.write(Buffer.from('wrong'));
		await writer.truncate(0);
		await writer.write(Buffer.from('right'));
		t.is(await writer.commit(), digestOf('right'));
	});

	story('abort leaves nothing', async (t, store) => {
		{
			await using writer = await store.writer({ref: 'r1'});
			await writer.write(Buffer.from('abc'));
		}
		await store.abort('r1');
		await t.throwsAsync(store.status('r1'), {code: 'NOT_FOUND'});
		await using writer = await store.writer({ref: 'r1'});
		t.is(writer.status().offset, 0);
	});

	story('of several writers of one digest one commits, and the others hear that it is there', async (t, store) => {
		const bytes = Buffer.alloc(300_000, 'same');
		const digest = digestOf(bytes.toString());
		const refs = ['r1', 'r2', 'r3', 'r4'];
		const writers = await Promise.all(refs.map(async ref => store.writer({ref})));
		await Promise.all(writers.map(async writer => writer.write(bytes)));
		const ends = await Promise.allSettled(writers.map(async writer => writer.commit({expected: digest})));
		await Promise.all(writers.map(letGo));
		t.is(ends.filter(({status}) => status === 'fulfilled').length, 1);
		t.deepEqual(new Set(ends.flatMap(end => end.status === 'rejected' ? [KeelsonError.from(end.reason).code] : [])), new Set(['ALREADY_EXISTS']));
		for (const ref of refs) {
			await t.throwsAsync(store.status(ref), {code: 'NOT_FOUND'}, ref);
		}
		t.is(await read(store, digest), bytes.toString());
		t.is((await Array.fromAsync(store.list())).length, 1);
	});

	story('a blob that is here is not written again', async (t, store) => {
		const digest = await put(store, 'r1', 'abc');
		await t.throwsAsync(store.writer({ref: 'r2', expected: digest}), {code: 'ALREADY_EXISTS'});
		await using writer = await store.writer({ref: 'r3'});
		await writer.write(Buffer.from('abc'));
		await t.throwsAsync(writer.commit(), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(store.status('r3'), {code: 'NOT_FOUND'});
		t.is(await read(store, digest), 'abc');
	});

	story('a ref keeps to what it was begun with', async (t, store) => {
		{
			await using writer = await store.writer({ref: 'r1', total: 5});
			await writer.write(Buffer.from('ab'));
		}
		await t.throwsAsync(store.writer({ref: 'r1', total: 6}), {code: 'FAILED_PRECONDITION'});
	});

	story('an empty ref is refused', async (t, store) => {
		await t.throwsAsync(store.writer({ref: ''}), {code: 'INVALID_ARGUMENT'});
	});

	story('lists show blobs by digest and ingests by ref, filtered', async (t, store) => {
		const digests = [await put(store, 'r1', 'one'), await put(store, 'r2', 'two'), await put(store, 'r3', 'three')];
		await using writer = await store.writer({ref: 'under way'});
		t.is(writer.status().offset, 0);
		t.deepEqual((await Array.fromAsync(store.list())).map(({digest}) => digest), digests.toSorted());
		const [first] = digests;
		t.deepEqual((await Array.fromAsync(store.list([`digest==${String(first)}`]))).map(({digest}) => digest), [first]);
		t.deepEqual((await store.statuses()).map(({ref}) => ref), ['under way']);
		t.deepEqual(await store.statuses(['ref==other']), []);
	});

	story('a deleted blob is gone, and can come again', async (t, store) => {
		const digest = await put(store, 'r1', 'abc');
		await store.delete(digest);
		await t.throwsAsync(store.info(digest), {code: 'NOT_FOUND'});
		t.is(await put(store, 'r1', 'abc'), digest);
	});

	story('sha512 names a blob as well', async (t, store) => {
		const expected: Digest = `sha512:${createHash('sha512').update('abc').digest('hex')}`;
		await using writer = await store.writer({ref: 'r1', expected});
		await writer.write(Buffer.from('abc'));
		t.is(await writer.commit({expected}), expected);
		t.is(await read(store, expected), 'abc');
	});

	story('a store that keeps labels keeps them, and another says so', async (t, store) => {
		const digest = await put(store, 'r1', 'abc');
		if (!supports.labels) {
			await t.throwsAsync(store.update(digest, {a: '1'}, []), {code: 'UNIMPLEMENTED'});
			return;
		}
		t.deepEqual((await store.update(digest, {a: '1', b: '2'}, [])).labels, {a: '1', b: '2'});
		t.deepEqual((await store.update(digest, {a: '', b: '3'}, ['labels.a', 'labels.b'])).labels, {b: '3'});
		t.deepEqual((await store.info(digest)).labels, {b: '3'});
		t.deepEqual((await Array.fromAsync(store.list(['labels.b==3']))).map(info => info.digest), [digest]);
		await t.throwsAsync(store.update(digest, {}, ['size']), {code: 'INVALID_ARGUMENT'});
		t.deepEqual((await store.update(digest, {a: 'b'.repeat(4095)}, [])).labels, {a: 'b'.repeat(4095)});
		await t.throwsAsync(store.update(digest, {a: 'b'.repeat(4096)}, []), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(store.update(digest, {a: 'b'.repeat(4096)}, ['labels.a']), {code: 'INVALID_ARGUMENT'});
	});
}

async function put(store: ContentStore, ref: string, text: string): Promise<Digest> {
	await using writer = await store.writer({ref});
	await writer.write(Buffer.from(text));
	return await writer.commit();
}

async function letGo(writer: ContentWriter): Promise<void> {
	await writer[Symbol.asyncDispose]();
}

async function read(store: ContentStore, digest: Digest, range?: Parameters<ContentReader['read']>[0]): Promise<string> {
	await using reader = await store.open(digest);
	return Buffer.concat(await Array.fromAsync(reader.read(range))).toString();
}

function digestOf(text: string): Digest {
	return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
