import test from 'ava';
import {digestOf, hasContent, put} from '../../contracts/metadata/metadata-story.suite.ts';
import {sqliteInMemory} from './sqlite-in-memory.ts';

const digest = digestOf('text');

test('a writer of what another namespace has begins at its end, and commits without bytes', async t => {
	await using house = sqliteInMemory();
	await put(house.scope({namespace: 'one'}), 'text', {mine: 'yes'});
	const two = house.scope({namespace: 'two'});
	await using writer = await two.content.writer({ref: 'r', expected: digest});
	t.like(writer.status(), {ref: 'r', offset: 4, total: 4, expected: digest});
	t.like(await two.content.status('r'), {ref: 'r', offset: 4, expected: digest});
	t.false(await hasContent(two, digest));
	t.is(await writer.commit({size: 4, expected: digest}), digest);
	t.like(await two.content.info(digest), {size: 4, labels: {}});
	t.deepEqual(await two.content.statuses(), []);
});

test('what was promised stays until the promise is kept, whatever happens to its first owner', async t => {
	await using house = sqliteInMemory();
	const one = house.scope({namespace: 'one'});
	await put(one, 'text');
	const two = house.scope({namespace: 'two'});
	await using writer = await two.content.writer({ref: 'r', expected: digest});
	await one.content.delete(digest);
	await house.collect();
	await writer.commit();
	await using reader = await two.content.open(digest);
	t.is(Buffer.concat(await Array.fromAsync(reader.read())).toString(), 'text');
});

test('a promised blob may be overwritten from the start, or be gone on with', async t => {
	await using house = sqliteInMemory();
	await put(house.scope({namespace: 'one'}), 'text');
	const {content} = house.scope({namespace: 'two'});
	{
		await using writer = await content.writer({ref: 'r', expected: digest});
		await writer.truncate(0);
		t.is(writer.status().offset, 0);
		await writer.write(Buffer.from('te'));
	}
	{
		await using writer = await content.writer({ref: 'r', expected: digest});
		t.is(writer.status().offset, 2);
		await writer.write(Buffer.from('xt'));
		t.is(await writer.commit(), digest);
	}
	await using longer = await house.scope({namespace: 'three'}).content.writer({ref: 'r', expected: digest});
	await longer.write(Buffer.from('ure'));
	t.is(await longer.commit({expected: digestOf('texture')}), digestOf('texture'));
});

test('a wrong size or digest is refused, and the promise stands', async t => {
	await using house = sqliteInMemory();
	await put(house.scope({namespace: 'one'}), 'text');
	const {content} = house.scope({namespace: 'two'});
	await using writer = await content.writer({ref: 'r', expected: digest});
	await t.throwsAsync(writer.commit({size: 5}), {code: 'FAILED_PRECONDITION'});
	await t.throwsAsync(writer.commit({expected: digestOf('other')}), {code: 'FAILED_PRECONDITION'});
	t.is(await writer.commit(), digest);
});

test('another total than that of the blob must be sent', async t => {
	await using house = sqliteInMemory();
	await put(house.scope({namespace: 'one'}), 'text');
	await using writer = await house.scope({namespace: 'two'}).content.writer({ref: 'r', expected: digest, total: 5});
	t.is(writer.status().offset, 0);
});

test('isolated namespaces send their own bytes, unless an owner offers its own', async t => {
	await using house = sqliteInMemory({sharing: 'isolated'});
	await put(house.scope({namespace: 'one'}), 'text');
	const two = house.scope({namespace: 'two'});
	{
		await using writer = await two.content.writer({ref: 'r', expected: digest});
		t.is(writer.status().offset, 0);
		await writer.write(Buffer.from('text'));
		t.is(await writer.commit(), digest);
	}
	await house.namespaces.update({name: 'one', labels: {'containerd.io/namespace.shareable': 'true'}}, []);
	await using writer = await house.scope({namespace: 'three'}).content.writer({ref: 'r', expected: digest});
	t.is(writer.status().offset, 4);
});

test('a blob whose bytes were lost is healed by sending them again', async t => {
	await using house = sqliteInMemory();
	const scope = house.scope({namespace: 'one'});
	await put(scope, 'text');
	await house.content.delete(digest);
	await using writer = await scope.content.writer({ref: 'r', expected: digest});
	await writer.write(Buffer.from('text'));
	await t.throwsAsync(writer.commit(), {code: 'ALREADY_EXISTS'});
	await using reader = await scope.content.open(digest);
	t.is(Buffer.concat(await Array.fromAsync(reader.read())).toString(), 'text');
});
