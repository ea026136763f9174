import {setTimeout as sleep} from 'node:timers/promises';
import {WriteAction} from '../../api/gen/services/content/v1/content.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {until} from '../helpers/until.ts';
import type {Fact} from './semantics-suite.ts';
import {OpenWrite, ask, digestOf, write} from './write-content.ts';

/** Blobs and what is on its way to become one. */
export function contentSemantics(fact: Fact): void {
	fact('trap 7: offset 0 on a ref that is not empty begins anew, and another wrong offset is OUT_OF_RANGE', async (t, room) => {
		using client = room.fresh();
		const {content} = client.services;
		await write(client, 'r', 'abcdef');
		t.is((await content.status({ref: 'r'})).status?.offset, 6n);
		await write(client, 'r', 'xyz');
		t.is((await content.status({ref: 'r'})).status?.offset, 3n);
		await t.throwsAsync(write(client, 'r', '!', {offset: 9}), {code: 'OUT_OF_RANGE'});
		await t.throwsAsync(write(client, 'r', '!', {offset: 1}), {code: 'OUT_OF_RANGE'});
		await write(client, 'r', '123', {offset: 3, digest: digestOf('xyz123')});
		t.is((await content.info({digest: digestOf('xyz123')})).info?.size, 6n);
	});

	fact('trap 7: a digest that exists ends the ref and answers ALREADY_EXISTS, whether it is told first or last', async (t, room) => {
		using client = room.fresh();
		const {content, leases} = client.services;
		const bytes = `there ${client.namespace}`;
		const digest = digestOf(bytes);
		await leases.create({id: 'l'});
		await write(client, 'r', bytes, {digest, lease: 'l'});
		await t.throwsAsync(write(client, 'again', bytes, {digest, lease: 'l'}), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(content.status({ref: 'again'}), {code: 'NOT_FOUND'});
		await t.throwsAsync(ask(client, [{action: WriteAction.STAT, ref: 'third', expected: digest, total: BigInt(bytes.length)}]), {code: 'ALREADY_EXISTS'});
		await leases.delete({id: 'l', sync: true});
		await t.throwsAsync(content.info({digest}), {code: 'NOT_FOUND'});
	});

	fact('trap 7: of several writers of one digest at once, one commits and the others hear that it exists', async (t, room) => {
		using client = room.fresh();
		const {content} = client.services;
		const bytes = Buffer.alloc(300_000, client.namespace);
		const digest = digestOf(bytes);
		const refs = ['r1', 'r2', 'r3', 'r4'];
		const writes = await Promise.all(refs.map(async ref => {
			const open = new OpenWrite(client);
			await open.ask({action: WriteAction.WRITE, ref, offset: 0n, data: bytes});
			return {ref, open};
		}));
		const end = BigInt(bytes.length);
		const ends = await Promise.all(writes.map(async ({ref, open}) => open.ask({action: WriteAction.COMMIT, ref, offset: end, total: end, expected: digest})
			.then(() => 'OK', (error: unknown) => KeelsonError.from(error).code)));
		t.deepEqual(ends.toSorted(), ['ALREADY_EXISTS', 'ALREADY_EXISTS', 'ALREADY_EXISTS', 'OK']);
		await Promise.all(writes.map(async ({open}) => open[Symbol.asyncDispose]()));
		t.is((await content.info({digest})).info?.size, end);
		t.deepEqual((await content.listStatuses({})).statuses, []);
	});

	fact('trap 7: a digest that exists is leased all the same', async (t, room) => {
		using client = room.fresh();
		const {content, leases} = client.services;
		const bytes = `there ${client.namespace}`;
		const digest = digestOf(bytes);
		for (const id of ['first', 'second']) {
			await leases.create({id});
		}
		await write(client, 'r', bytes, {digest, lease: 'first'});
		await t.throwsAsync(ask(client, [{action: WriteAction.STAT, ref: 'again', expected: digest, total: BigInt(bytes.length)}], {lease: 'second'}), {code: 'ALREADY_EXISTS'});
		t.deepEqual((await leases.listResources({id: 'second'})).resources.filter(({type}) => type === 'content'), [{type: 'content', id: digest}]);
		await leases.delete({id: 'first', sync: true});
		t.is((await content.info({digest})).info?.digest, digest);
		await leases.delete({id: 'second', sync: true});
		await t.throwsAsync(content.info({digest}), {code: 'NOT_FOUND'});
	});

	fact('trap 8: what another namespace has is offered to its end, and is not there before the commit', async (t, room) => {
		using owner = room.fresh();
		using other = room.fresh();
		const bytes = `shared ${owner.namespace}`;
		const [digest, size] = [digestOf(bytes), BigInt(bytes.length)];
		await owner.services.leases.create({id: 'l'});
		await other.services.leases.create({id: 'l'});
		await write(owner, 'r', bytes, {digest, lease: 'l'});
		await using writing = new OpenWrite(other, {lease: 'l'});
		const first = await writing.ask({action: WriteAction.STAT, ref: 'mine', expected: digest, total: size});
		t.is(first?.offset, size);
		await t.throwsAsync(other.services.content.info({digest}), {code: 'NOT_FOUND'});
		const last = await writing.ask({action: WriteAction.COMMIT, ref: 'mine', expected: digest, total: size, offset: size});
		t.is(last?.digest, digest);
		t.is((await other.services.content.info({digest})).info?.size, size);
		const read: Buffer[] = [];
		for await (const {data} of other.services.content.read({digest})) {
			read.push(Buffer.from(data));
		}
		t.is(Buffer.concat(read).toString(), bytes);
	});

	fact('a ref has one writer: another is UNAVAILABLE, and the lock goes with its client', async (t, room) => {
		using client = room.fresh();
		const holder = new OpenWrite(client);
		await holder.ask({action: WriteAction.WRITE, ref: 'held', data: Buffer.from('abc')});
		await t.throwsAsync(write(client, 'held', 'xyz', {offset: 3}), {code: 'UNAVAILABLE'});
		await holder[Symbol.asyncDispose]();
		await until('the lock to go', async () => write(client, 'held', 'def', {offset: 3}).then(() => true, async () => sleep(10, false)));
		t.is((await client.services.content.status({ref: 'held'})).status?.offset, 6n);
	});
}
