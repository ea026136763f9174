import {endToEnd} from '../helpers/end-to-end.ts';

const scenario = endToEnd('namespaces', {pulls: false});

scenario('a namespace is created with labels, listed and removed', async ({t, ctr, daemon, same}) => {
	const name = daemon.namespace('made');
	t.is(await ctr.ok('namespaces', 'create', name, 'team=blue', 'level=3'), '');
	t.deepEqual(await ctr.rows('namespaces', 'ls'), [[name, 'level=3,team=blue']]);
	t.deepEqual(await ctr.lines('namespaces', 'ls', '-q'), [name]);
	t.is(await ctr.ok('namespaces', 'rm', name), `${name}\n`);
	same('an empty list', await ctr.ok('namespaces', 'ls'));
	t.deepEqual(await ctr.lines('namespaces', 'ls', '-q'), []);
});

scenario('labels of a namespace are set and cleared', async ({t, ctr, daemon}) => {
	const name = daemon.namespace('labelled');
	await ctr.ok('namespaces', 'create', name, 'a=1', 'b=2');
	await ctr.ok('namespaces', 'label', name, 'a=', 'c=3');
	t.deepEqual(await ctr.rows('namespaces', 'ls'), [[name, 'b=2,c=3']]);
	await ctr.ok('namespaces', 'rm', name);
});

scenario('a namespace that is labelled has been made', async ({t, ctr, daemon}) => {
	const name = daemon.namespace('labelled');
	await ctr.ok('namespaces', 'label', name, 'a=1');
	t.deepEqual(await ctr.rows('namespaces', 'ls'), [[name, 'a=1']]);
	await ctr.ok('namespaces', 'rm', name);
});

scenario('a namespace exists once', async ({t, ctr, daemon}) => {
	const name = daemon.namespace('twice');
	await ctr.ok('namespaces', 'create', name);
	t.is(await ctr.fails('namespaces', 'create', name), `ctr: namespace "${name}": already exists\n`);
	await ctr.ok('namespaces', 'rm', name);
});

scenario('removing a namespace that is not there says its name and succeeds', async ({t, ctr}) => {
	const {code, stdout} = await ctr.run('namespaces', 'rm', 'nobody');
	t.is(code, 0);
	t.is(stdout, 'nobody\n');
});

scenario('a namespace that holds something is not removed', async ({t, ctr, images, fresh}) => {
	const full = fresh();
	await full.ok('images', 'pull', '--plain-http', images.busybox);
	t.regex(await ctr.fails('namespaces', 'rm', full.namespace), /namespace "[^"]+" must be empty, but it still has images.*: failed precondition/v);
	await full.ok('images', 'rm', '--sync', images.busybox);
	await ctr.ok('namespaces', 'rm', full.namespace);
	t.deepEqual(await ctr.lines('namespaces', 'ls', '-q'), []);
});

for (const [what, name] of [['slash', 'a/b'], ['leading dot', '.a'], ['dot dot', '..'], ['length of 77', 'n'.repeat(77)]] as const) {
	scenario(`a namespace's name with a ${what} is refused`, async ({t, ctr, same}) => {
		const message = await ctr.fails('namespaces', 'create', name);
		t.regex(message, /invalid argument/v);
		same('message', message);
		t.deepEqual(await ctr.lines('namespaces', 'ls', '-q'), []);
	});
}

scenario('namespaces do not see each other', async ({t, images, fresh}) => {
	const [one, other] = [fresh(), fresh()];
	await one.ok('images', 'pull', '--plain-http', images.busybox);
	t.deepEqual(await one.lines('images', 'ls', '-q'), [images.busybox]);
	t.deepEqual(await other.lines('images', 'ls', '-q'), []);
	t.deepEqual(await other.lines('content', 'ls', '-q'), []);
	t.deepEqual(await other.rows('snapshots', 'ls'), []);
	await one.ok('images', 'rm', '--sync', images.busybox);
});
