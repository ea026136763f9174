import {access} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Daemon} from '../helpers/daemon.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {Registry} from '../helpers/registry.ts';
import {pushTestImages} from '../helpers/test-images.ts';

const scenario = endToEnd('crun', {pairs: true, daemon: {withoutUnifiedCgroup: true}});

scenario('another OCI runtime runs a container', async ({t, ctr, images}) => {
	t.is(await ctr.prints('run', '--rm', '--runc-binary', 'crun', images.busybox, 'by-crun', 'sh', '-c', 'echo hello; sleep 0.1'), 'hello\n');
	t.is((await ctr.run('run', '--rm', '--runc-binary', 'crun', images.busybox, 'code', 'sh', '-c', 'exit 7')).code, 7);
	await ctr.ok('run', '-d', '--runc-binary', 'crun', images.busybox, 'host', 'sleep', '60');
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e', 'host', 'echo', 'beside'), 'beside\n');
	await ctr.ok('tasks', 'rm', '--force', 'host');
	await ctr.ok('containers', 'rm', 'host');
	// Later clients write a version of the runtime specification that Debian 12's crun does not know.
}, {until: '1.6', pairs: 'theirs'});

scenario('an OCI runtime that is not there is named', async ({t, ctr, images}) => {
	const {code, stderr} = await ctr.run('run', '--rm', '--runc-binary', '/nowhere/runc', images.busybox, 'none', 'true');
	t.is(code, 1);
	t.regex(stderr, /\/nowhere\/runc/v);
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
}, {pairs: 'theirs'});

test('the configuration names the OCI runtime of a runtime\'s name, and a client\'s options go before it', async t => {
	t.timeout(120_000);
	await using registry = await Registry.start();
	const images = await pushTestImages(registry);
	const config = '[plugins."io.containerd.runtime.v2.task".oci_runtimes]\n"io.containerd.crun.v2" = "crun"\n"io.containerd.runc.v2" = "crun"\n"io.example.missing.v2" = "/nowhere/runtime"\n';
	await using daemon = await Daemon.start(keelson({config}), {withoutUnifiedCgroup: true});
	const ctr = daemon.ctr('1.6', daemon.namespace('crun'));
	await ctr.ok('images', 'pull', '--plain-http', images.busybox);
	// crun keeps `status` of a container, runc `state.json`.
	const isOf = async (id: string, file: string): Promise<boolean> => access(path.join(daemon.places.state, 'runc', ctr.namespace, id, file)).then(() => true, () => false);
	const cases = [
		{id: 'by-crun', words: ['--runtime', 'io.containerd.crun.v2'], isCrun: true},
		{id: 'plain', words: [], isCrun: true},
		{id: 'chosen', words: ['--runc-binary', 'runc'], isCrun: false},
		{id: 'other', words: ['--runtime', 'io.keelson.v2'], isCrun: false},
	];
	for (const {id, words, isCrun} of cases) {
		await ctr.ok('run', '-d', ...words, images.busybox, id, 'sleep', '60');
		t.is(await isOf(id, 'status'), isCrun, id);
		t.is(await isOf(id, 'state.json'), !isCrun, id);
		t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e', id, 'echo', 'beside'), 'beside\n');
		await ctr.ok('tasks', 'rm', '--force', id);
		await ctr.ok('containers', 'rm', id);
	}

	t.regex((await ctr.run('run', '--rm', '--runtime', 'io.example.missing.v2', images.busybox, 'none', 'true')).stderr, /\/nowhere\/runtime/v);
	await ctr.ok('images', 'rm', '--sync', images.busybox);
});
