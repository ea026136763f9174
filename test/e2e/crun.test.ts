import {endToEnd} from '../helpers/end-to-end.ts';

const scenario = endToEnd('crun', {daemon: {withoutUnifiedCgroup: true}});

scenario('another OCI runtime runs a container', async ({t, ctr, images}) => {
	t.is(await ctr.prints('run', '--rm', '--runc-binary', 'crun', images.busybox, 'by-crun', 'sh', '-c', 'echo hello; sleep 0.1'), 'hello\n');
	t.is((await ctr.run('run', '--rm', '--runc-binary', 'crun', images.busybox, 'code', 'sh', '-c', 'exit 7')).code, 7);
	await ctr.ok('run', '-d', '--runc-binary', 'crun', images.busybox, 'host', 'sleep', '60');
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e', 'host', 'echo', 'beside'), 'beside\n');
	await ctr.ok('tasks', 'rm', '--force', 'host');
	await ctr.ok('containers', 'rm', 'host');
	// Later clients write a version of the runtime specification that Debian 12's crun does not know.
}, {until: '1.6'});

scenario('an OCI runtime that is not there is named', async ({t, ctr, images}) => {
	const {code, stderr} = await ctr.run('run', '--rm', '--runc-binary', '/nowhere/runc', images.busybox, 'none', 'true');
	t.is(code, 1);
	t.regex(stderr, /\/nowhere\/runc/v);
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
});
