import {createHash, randomBytes} from 'node:crypto';
import type {ExecutionContext, TestFn} from 'ava';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Digest} from '../oci/digest.ts';
import {mediaTypes} from '../oci/media-type.ts';
import type {PushTarget, Registry} from './fetch.ts';

/** A registry client, and a place that it may push to. */
export interface FetchHouse extends AsyncDisposable {
	readonly registry: Registry;
	/** `host/path` below which repositories may be made. */
	readonly place: string;
}

export interface FetchSubject {
	readonly name: string;
	create(): Promise<FetchHouse>;
}

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const descriptorOf = (bytes: Uint8Array, mediaType: string): Descriptor => ({mediaType, digest: digestOf(bytes), size: bytes.length});

async function send(target: PushTarget, descriptor: Descriptor, bytes: Uint8Array, options: Parameters<PushTarget['push']>[1] = {}): Promise<boolean> {
	await using writer = await target.push(descriptor, options);
	if (writer === undefined) {
		return false;
	}
	for (let at = 0; at < bytes.length; at += 300_000) {
		await writer.write(bytes.subarray(at, at + 300_000));
	}
	await writer.commit();
	return true;
}

async function read(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
	// A chunk is valid until the next is asked for.
	return Buffer.concat(await Array.fromAsync(bytes, chunk => Buffer.from(chunk)));
}

/** A blob of so many bytes, and a manifest that names it, pushed under `reference`. */
async function published(registry: Registry, reference: string, size: number, more: object = {}): Promise<{readonly blob: Descriptor; readonly bytes: Buffer; readonly manifest: Descriptor}> {
	const bytes = randomBytes(size);
	const config = Buffer.from('{}');
	const parts = {blob: descriptorOf(bytes, mediaTypes.ociLayer), config: descriptorOf(config, mediaTypes.ociConfig)};
	const document = Buffer.from(JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: parts.config, layers: [parts.blob], ...more}));
	const manifest = descriptorOf(document, mediaTypes.ociManifest);
	await using target = await registry.target(reference);
	await send(target, parts.blob, bytes);
	await send(target, parts.config, config);
	await send(target, manifest, document);
	return {blob: parts.blob, bytes, manifest};
}

/** Every fetcher passes this. */
export function fetchSuite(test: TestFn, {name, create}: FetchSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, house: FetchHouse & {fresh(): string}) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			t.timeout(60_000);
			await using house = await create();
			await tell(t, Object.assign(house, {fresh: () => `${house.place}/r-${randomBytes(6).toString('hex')}`}));
		});
	};

	story('what is pushed is found by its tag and its digest, and read whole or from an offset', async (t, {registry, fresh}) => {
		const where = fresh();
		const {blob, bytes, manifest} = await published(registry, `${where}:1`, 1_000_000);
		for (const reference of [`${where}:1`, `${where}@${manifest.digest}`]) {
			await using repository = await registry.resolve(reference);
			t.deepEqual({...repository.descriptor}, {...manifest});
			t.is(repository.name, reference);
			t.is(digestOf(await read(repository.open(manifest))), manifest.digest);
			t.true((await read(repository.open(blob))).equals(bytes));
			t.true((await read(repository.open(blob, {offset: 999_990}))).equals(bytes.subarray(999_990)));
			t.is((await read(repository.open(blob, {offset: bytes.length}))).length, 0);
		}
	});

	story('what is there is not pushed again, and a tag that stands for something else is moved', async (t, {registry, fresh}) => {
		const where = fresh();
		const first = await published(registry, `${where}:1`, 1000);
		await using target = await registry.target(`${where}:1`);
		t.false(await send(target, first.blob, first.bytes));
		t.is(await target.push(first.manifest), undefined);
		const second = await published(registry, `${where}:1`, 1000);
		await using repository = await registry.resolve(`${where}:1`);
		t.is(repository.descriptor.digest, second.manifest.digest);
		await using before = await registry.resolve(`${where}@${first.manifest.digest}`);
		t.is(before.descriptor.digest, first.manifest.digest);
	});

	story('what is not there is NOT_FOUND, and what is no reference INVALID_ARGUMENT', async (t, {registry, fresh}) => {
		const where = fresh();
		await t.throwsAsync(registry.resolve(`${where}:1`), {code: 'NOT_FOUND'});
		await published(registry, `${where}:1`, 10);
		await t.throwsAsync(registry.resolve(`${where}:other`), {code: 'NOT_FOUND'});
		await using repository = await registry.resolve(`${where}:1`);
		const nothing = descriptorOf(randomBytes(10), mediaTypes.ociLayer);
		await t.throwsAsync(read(repository.open(nothing)), {code: 'NOT_FOUND'});
		for (const reference of ['', 'nohost', 'host/UPPER', 'host/a@sha256:0']) {
			await t.throwsAsync(registry.resolve(reference), {code: 'INVALID_ARGUMENT'}, reference);
			await t.throwsAsync(registry.target(reference), {code: 'INVALID_ARGUMENT'}, reference);
		}
	});

	story('bytes that are not those of their descriptor are not pushed', async (t, {registry, fresh}) => {
		const where = fresh();
		await using target = await registry.target(`${where}:1`);
		const bytes = randomBytes(1000);
		const blob = descriptorOf(bytes, mediaTypes.ociLayer);
		await t.throwsAsync(send(target, blob, randomBytes(1000)), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(send(target, blob, bytes.subarray(1)), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(send(target, blob, Buffer.concat([bytes, bytes])), {code: 'INVALID_ARGUMENT'});
		{
			await using writer = await target.push(blob);
			await writer?.write(bytes);
			// Disposed without a commit.
		}
		t.true(await send(target, blob, bytes));
	});

	story('a repository that is let go ends what is under way, and so does a signal', async (t, {registry, fresh}) => {
		const where = fresh();
		const {blob} = await published(registry, `${where}:1`, 30_000_000);
		const repository = await registry.resolve(`${where}:1`);
		const reading = (async () => {
			for await (const chunk of repository.open(blob)) {
				t.true(chunk.length > 0);
				await repository[Symbol.asyncDispose]();
			}
		})();
		await t.throwsAsync(reading, {code: 'CANCELLED'});
		await using other = await registry.resolve(`${where}:1`);
		await t.throwsAsync(read(other.open(blob, {signal: AbortSignal.abort()})), {code: 'CANCELLED'});
		await t.throwsAsync(registry.resolve(`${where}:1`, {signal: AbortSignal.abort()}), {code: 'CANCELLED'});
	});

	story('what nobody refers to has no referrers', async (t, {registry, fresh}) => {
		const {manifest} = await published(registry, `${fresh()}:1`, 10);
		const where = fresh();
		await published(registry, `${where}:1`, 10);
		await using repository = await registry.resolve(`${where}:1`);
		t.deepEqual(await repository.referrers(manifest.digest), []);
	});
}
