import test from 'ava';
import {KeyedMutex} from '../../plugins/transfer-local/keyed-mutex.ts';

const never = new AbortController().signal;

test('what has the same key runs one after the other, what has another does not wait', async t => {
	const mutex = new KeyedMutex();
	const order: string[] = [];
	const {promise, resolve} = Promise.withResolvers<void>();
	const first = mutex.run('a', never, async () => {
		await promise;
		order.push('first');
	});
	const second = mutex.run('a', never, async () => {
		order.push('second');
	});
	await mutex.run('b', never, async () => {
		order.push('other');
	});
	resolve();
	await Promise.all([first, second]);
	t.deepEqual(order, ['other', 'first', 'second']);
});

test('who gives up leaves the queue at once, and does not let the next in early', async t => {
	const mutex = new KeyedMutex();
	const {promise, resolve} = Promise.withResolvers<void>();
	let isHeld = true;
	const first = mutex.run('a', never, async () => {
		await promise;
		isHeld = false;
	});
	const giving = new AbortController();
	const second = mutex.run('a', giving.signal, async () => t.fail());
	const third = mutex.run('a', never, async () => t.false(isHeld));
	giving.abort(new Error('gave up'));
	await t.throwsAsync(second, {message: 'gave up'});
	t.true(isHeld);
	resolve();
	await Promise.all([first, third]);
});

test('a failure is its own, and a key nobody holds is forgotten', async t => {
	const mutex = new KeyedMutex();
	const failing = mutex.run('a', never, async () => {
		throw new Error('broken');
	});
	const next = mutex.run('a', never, async () => 'fine');
	await t.throwsAsync(failing, {message: 'broken'});
	t.is(await next, 'fine');
	await new Promise(setImmediate);
	t.is(mutex.size, 0);
});
