import {createHash} from 'node:crypto';
import test from 'ava';
import {ContentDefinition, WriteAction, type WriteContentRequest} from '../../api/gen/services/content/v1/content.ts';
import {scopeOf} from '../../contracts/grpc/grpc.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {contentService} from '../../plugins/grpc-content/service.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {until} from '../helpers/until.ts';
import {sqliteInMemory} from '../metadata/sqlite-in-memory.ts';

const {fullName: SERVICE, methods} = ContentDefinition;
const {STAT, WRITE, COMMIT} = WriteAction;
const digestOf = (bytes: string | Uint8Array): `sha256:${string}` => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

interface Room extends AsyncDisposable {
	readonly store: MemoryContentStore;
	readonly room: GrpcRoom;
	/** Sends requests on one call, and answers what came for each. */
	readonly write: (...requests: readonly Partial<WriteContentRequest>[]) => Promise<readonly {action: WriteAction; offset: number; total: number; digest: string}[]>;
}

async function open(): Promise<Room> {
	const store = new MemoryContentStore();
	const room = await GrpcRoom.open([contentService(() => store)]);
	return {
		store, room,
		async write(...requests) {
			await using call = room.client.duplex(SERVICE, methods.write);
			const answers = [];
			for (const request of requests) {
				await call.send(request);
				const answer = await call.receive();
				if (answer !== undefined) {
					answers.push({action: answer.action, offset: Number(answer.offset), total: Number(answer.total), digest: answer.digest});
				}
			}
			await call.close();
			return answers;
		},
		[Symbol.asyncDispose]: () => room[Symbol.asyncDispose](),
	};
}

test('each request of a write is answered with where the ingest stands', async t => {
	await using content = await open();
	const digest = digestOf('hello house');
	t.deepEqual(await content.write(
		{action: STAT, ref: 'r', total: 11n},
		{action: WRITE, offset: 0n, data: Buffer.from('hello ')},
		{action: STAT},
		{action: WRITE, offset: 6n, data: Buffer.from('ho')},
		{action: COMMIT, offset: 8n, data: Buffer.from('use'), expected: digest, labels: {a: 'b'}},
	), [
		{action: STAT, offset: 0, total: 11, digest: digestOf('')},
		{action: WRITE, offset: 6, total: 11, digest: digestOf('hello ')},
		{action: STAT, offset: 6, total: 11, digest: digestOf('hello ')},
		{action: WRITE, offset: 8, total: 11, digest: digestOf('hello ho')},
		{action: COMMIT, offset: 11, total: 11, digest},
	]);
	t.deepEqual((await content.store.info(digest)).labels, {a: 'b'});
});

test('the first request must have a ref, and a total and a digest that can be', async t => {
	await using content = await open();
	await t.throwsAsync(content.write({action: STAT}), {code: 'INVALID_ARGUMENT', message: /must have a reference/});
	await t.throwsAsync(content.write({action: STAT, ref: 'r', total: -1n}), {code: 'INVALID_ARGUMENT', message: /total is -1/});
	await t.throwsAsync(content.write({action: STAT, ref: 'r', expected: 'sha256:../../etc'}), {code: 'INVALID_ARGUMENT', message: /invalid digest/});
	await t.throwsAsync(content.write({action: 7 as WriteAction, ref: 'r'}), {code: 'INVALID_ARGUMENT', message: /none of STAT, WRITE and COMMIT/});
	t.deepEqual(await content.write(), []);
});

test('offset 0 on an ingest that is not empty begins anew; another wrong offset is out of range', async t => {
	await using content = await open();
	await content.write({action: WRITE, ref: 'r', data: Buffer.from('wrong')});
	await t.throwsAsync(content.write({action: WRITE, ref: 'r', offset: 3n, data: Buffer.from('x')}), {code: 'OUT_OF_RANGE', message: /@3 .* 5/});
	const [first] = await content.write({action: WRITE, ref: 'r', offset: 0n, data: Buffer.from('right')}, {action: COMMIT, offset: 5n});
	t.is(first?.offset, 5);
	t.is((await content.store.info(digestOf('right'))).size, 5);
});

test('a digest that exists ends the write and its ingest, whether it is told first or last', async t => {
	await using content = await open();
	const digest = digestOf('abc');
	await content.write({action: COMMIT, ref: 'r', data: Buffer.from('abc')});
	await t.throwsAsync(content.write({action: STAT, ref: 'again', expected: digest}), {code: 'ALREADY_EXISTS'});
	await t.throwsAsync(
		content.write({action: WRITE, ref: 'again', data: Buffer.from('a')}, {action: COMMIT, offset: 1n, expected: digest}),
		{code: 'ALREADY_EXISTS'},
	);
	t.deepEqual(await content.store.statuses(), []);
});

test('a digest that exists is put under the caller\'s lease', async t => {
	await using house = sqliteInMemory();
	await house.namespaces.create({name: 'default', labels: {}});
	const {content, leases} = house.scope({namespace: 'default'});
	await leases.create({id: 'keep', labels: {}});
	await using writer = await content.writer({ref: 'first'});
	await writer.write(Buffer.from('abc'));
	const digest = await writer.commit();
	const service = contentService(context => house.scope(scopeOf(context)).content);
	await using room = await GrpcRoom.open([service], {headers: {'containerd-namespace': 'default', 'containerd-lease': 'keep'}});
	await using call = room.client.duplex(SERVICE, methods.write);
	await call.send({action: WRITE, ref: 'second', data: Buffer.from('a')});
	await call.receive();
	await call.send({action: COMMIT, offset: 1n, expected: digest});
	await t.throwsAsync(call.receive(), {code: 'ALREADY_EXISTS'});
	t.deepEqual((await leases.resources('keep')).filter(({type}) => type === 'content'), [{type: 'content', id: digest}]);
});

test('a client that goes away gives its lock back and leaves what it wrote', async t => {
	await using content = await open();
	const call = content.room.client.duplex(SERVICE, methods.write);
	await call.send({action: WRITE, ref: 'r', data: Buffer.from('abc')});
	await call.receive();
	await t.throwsAsync(content.write({action: STAT, ref: 'r'}), {code: 'UNAVAILABLE', message: /locked/});
	await call[Symbol.asyncDispose]();
	await until('the lock is free', async () => content.write({action: STAT, ref: 'r'}).catch(error => {
		if (!isKeelsonError(error, 'UNAVAILABLE')) {
			throw error;
		}
		return undefined;
	}));
	t.is((await content.store.status('r')).offset, 3);
});

test('a blob is read in messages of at most 1 MiB, from an offset and no further than asked', async t => {
	await using content = await open();
	const bytes = Buffer.alloc(2_500_000, 'keelson');
	await using writer = await content.store.writer({ref: 'r'});
	await writer.write(bytes);
	const digest = await writer.commit();
	const read = async (range: {offset?: bigint; size?: bigint}) => Array.fromAsync(content.room.client.stream(SERVICE, methods.read, {digest, ...range}));
	const whole = await read({});
	t.deepEqual(whole.map(({data}) => data.byteLength), [1_048_576, 1_048_576, 402_848]);
	t.deepEqual(whole.map(({offset}) => Number(offset)), [0, 1_048_576, 2_097_152]);
	t.true(Buffer.concat(whole.map(({data}) => data)).equals(bytes));
	t.deepEqual((await read({offset: 7n, size: 9n})).map(({data}) => Buffer.from(data).toString()), ['keelsonke']);
	t.deepEqual((await read({offset: 2_499_999n, size: 100n})).map(({data}) => data.byteLength), [1]);
	t.deepEqual((await read({offset: -5n, size: -1n})).length, 3);
	await t.throwsAsync(read({offset: 2_500_001n}), {code: 'OUT_OF_RANGE'});
});

test('apple/container: a malformed digest is INVALID_ARGUMENT wherever it is named', async t => {
	await using content = await open();
	for (const digest of ['', 'abc', 'sha256:', 'sha256:ABC', 'md5:d41d8cd98f00b204e9800998ecf8427e', `sha256:${'/'.repeat(64)}`]) {
		await t.throwsAsync(content.room.client.unary(SERVICE, methods.info, {digest}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(content.room.client.unary(SERVICE, methods.delete, {digest}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(content.room.client.stream(SERVICE, methods.read, {digest}).next(), {code: 'INVALID_ARGUMENT'});
	}
	await t.throwsAsync(content.room.client.unary(SERVICE, methods.update, {}), {code: 'INVALID_ARGUMENT'});
});

test('a list of many blobs comes in batches, whole', async t => {
	await using content = await open();
	for (let index = 0; index < 250; index++) {
		await content.write({action: COMMIT, ref: 'r', data: Buffer.from(String(index))});
	}
	const batches = await Array.fromAsync(content.room.client.stream(SERVICE, methods.list, {}));
	t.deepEqual(batches.map(({info}) => info.length), [100, 100, 50]);
	t.is(new Set(batches.flatMap(({info}) => info.map(({digest}) => digest))).size, 250);
});
