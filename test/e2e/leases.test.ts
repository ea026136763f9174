import {createHash} from 'node:crypto';
import {endToEnd} from '../helpers/end-to-end.ts';

const scenario = endToEnd('leases', {pulls: false});

scenario('a lease is created with an id and labels, listed and removed', async ({t, fresh, same}) => {
	const ctr = fresh();
	t.is(await ctr.ok('leases', 'create', '--id', 'mine', 'team=blue'), 'mine\n');
	same('ls', await ctr.ok('leases', 'ls'));
	const [row] = await ctr.rows('leases', 'ls');
	t.is(row?.[0], 'mine');
	t.regex(row?.[2] ?? '', /^containerd\.io\/gc\.expire=\S+,team=blue$|^team=blue,containerd\.io\/gc\.expire=\S+$/v);
	t.deepEqual(await ctr.lines('leases', 'ls', '-q'), ['mine']);
	t.is(await ctr.ok('leases', 'rm', '--sync', 'mine'), 'mine\n');
	same('an empty list', await ctr.ok('leases', 'ls'));
});

scenario('a lease without an id gets one, and expires unless told not to', async ({t, fresh}) => {
	const ctr = fresh();
	const id = (await ctr.ok('leases', 'create', '--expires', '0')).trim();
	t.regex(id, /^\d+-.{4}$/v);
	const [row] = await ctr.rows('leases', 'ls');
	t.deepEqual([row?.[0], row?.[2]], [id, '-']);
	await ctr.ok('leases', 'rm', id);
});

scenario('a lease exists once', async ({t, fresh}) => {
	const ctr = fresh();
	await ctr.ok('leases', 'create', '--id', 'mine');
	t.is(await ctr.fails('leases', 'create', '--id', 'mine'), 'ctr: lease "mine": already exists\n');
	await ctr.ok('leases', 'rm', 'mine');
});

scenario('removing a lease that is not there fails, after what could be removed', async ({t, fresh}) => {
	const ctr = fresh();
	await ctr.ok('leases', 'create', '--id', 'mine');
	const {code, stdout, stderr} = await ctr.run('leases', 'rm', 'mine', 'nobody');
	t.is(code, 1);
	t.is(stdout, 'mine\n');
	t.is(stderr, 'ctr: lease "nobody": not found\n');
});

scenario('a filter chooses leases', async ({t, fresh}) => {
	const ctr = fresh();
	await ctr.ok('leases', 'create', '--id', 'one', 'color=red');
	await ctr.ok('leases', 'create', '--id', 'two', 'color=blue');
	t.deepEqual(await ctr.lines('leases', 'ls', '-q', 'id==one'), ['one']);
	t.deepEqual(await ctr.lines('leases', 'ls', '-q', 'labels."color"==blue'), ['two']);
	await ctr.ok('leases', 'rm', 'one', 'two');
});

scenario('what nothing refers to is collected when a lease goes', async ({t, fresh}) => {
	const ctr = fresh();
	const text = `garbage ${ctr.release}`;
	await ctr.ok('leases', 'create', '--id', 'short');
	await ctr.with({input: text}, 'content', 'ingest', '--expected-digest', `sha256:${createHash('sha256').update(text).digest('hex')}`, 'key');
	await ctr.ok('leases', 'rm', '--sync', 'short');
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
});
