import {endToEnd} from '../helpers/end-to-end.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('containers');

interface Info {
	readonly ID: string;
	readonly Image: string;
	readonly SnapshotKey: string;
	readonly Snapshotter: string;
	readonly Labels: Readonly<Record<string, string>>;
	readonly Runtime: {readonly Name: string};
	readonly Spec: {readonly process: {readonly args: readonly string[]}};
}

scenario('a created container is a record: listed, described, removed', async ({t, ctr, images, same}) => {
	t.is(await ctr.ok('containers', 'create', '--label', 'a=1', '--env', 'X=y', images.busybox, 'made', 'sleep', '60'), '');
	same('ls', await ctr.ok('containers', 'ls'));
	t.deepEqual(await ctr.lines('containers', 'ls', '-q'), ['made']);
	const info = JSON.parse(await ctr.ok('containers', 'info', 'made')) as Info;
	t.is(info.ID, 'made');
	t.is(info.Image, images.busybox);
	t.is(info.SnapshotKey, 'made');
	t.is(info.Snapshotter, 'overlayfs');
	t.is(info.Runtime.Name, 'io.containerd.runc.v2');
	t.deepEqual(info.Spec.process.args, ['sleep', '60']);
	same('info', JSON.parse(await ctr.ok('containers', 'info', 'made')));
	same('info --spec', JSON.parse(await ctr.ok('containers', 'info', '--spec', 'made')));
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
	t.is(await ctr.ok('containers', 'rm', 'made'), '');
	t.is((await ctr.rows('snapshots', 'ls')).length, 1);
	same('an empty list', await ctr.ok('containers', 'ls'));
});

scenario('labels are set and cleared, and filters see them', async ({t, ctr, images}) => {
	await ctr.ok('containers', 'create', '--label', 'a=1', images.busybox, 'one', 'true');
	await ctr.ok('containers', 'create', images.busybox, 'two', 'true');
	t.deepEqual((await ctr.ok('containers', 'label', 'one', 'a=', 'b=2')).trim().split(',').toSorted(), ['b=2', 'io.containerd.image.config.stop-signal=SIGTERM']);
	t.deepEqual(await ctr.lines('containers', 'ls', '-q', 'labels."b"==2'), ['one']);
	t.deepEqual(await ctr.lines('containers', 'ls', '-q', 'id==two'), ['two']);
	t.deepEqual((await ctr.lines('containers', 'ls', '-q', 'id==two', 'id==one')).toSorted(), ['one', 'two']);
	t.deepEqual(await ctr.lines('containers', 'ls', '-q', `image==${images.busybox}`), ['one', 'two']);
	await ctr.ok('containers', 'rm', 'one', 'two');
	t.deepEqual(await ctr.lines('containers', 'ls', '-q'), []);
});

scenario('--keep-snapshot leaves the snapshot', async ({t, ctr, images}) => {
	await ctr.ok('containers', 'create', images.busybox, 'kept', 'true');
	// Without the container nothing refers to it: a collection would take it.
	await ctr.ok('snapshots', 'label', 'kept', 'containerd.io/gc.root=now');
	await ctr.ok('containers', 'rm', '--keep-snapshot', 'kept');
	t.true((await ctr.rows('snapshots', 'ls')).some(row => row[0] === 'kept'));
	await ctr.ok('snapshots', 'rm', 'kept');
});

scenario('a container that is not there is not found', async ({t, ctr, same}) => {
	const missing = `ctr: container "nobody" in namespace "${ctr.namespace}": not found\n`;
	t.is(await ctr.fails('containers', 'info', 'nobody'), missing);
	t.true((await ctr.fails('containers', 'rm', 'nobody')).endsWith(missing));
	same('label', await ctr.fails('containers', 'label', 'nobody', 'a=b'));
});

scenario('a created container is started, later, and started again after its end', async ({t, ctr, daemon, images}) => {
	await ctr.ok('containers', 'create', images.busybox, 'later', 'awk', 'BEGIN {system("echo started; echo aside >&2; read line"); exit 3}');
	for (const time of ['first', 'second']) {
		t.deepEqual(await ctr.hears('tasks', 'start', 'later'), {code: 3, stdout: 'started\n', stderr: 'aside\n'}, time);
		t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
		// In each hierarchy. CRIU may make it again for a moment, and no runtime of the peer's is answered for.
		if (daemon.program.kind === 'keelson') {
			await until('its groups to go', async () => (await daemon.leftovers()).every(line => !line.endsWith(`/${ctr.namespace}/later`)));
		}
	}

	await ctr.ok('containers', 'rm', 'later');
});

scenario('two namespaces have a container of the same name', async ({t, ctr, images, fresh}) => {
	const other = fresh();
	await other.ok('images', 'pull', '--plain-http', images.busybox);
	await ctr.ok('run', '-d', images.busybox, 'same', 'sleep', '60');
	t.is(await other.prints('run', '--rm', images.busybox, 'same', 'echo', 'me too'), 'me too\n');
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), ['same']);
	t.deepEqual(await other.lines('tasks', 'ls', '-q'), []);
	await ctr.ok('tasks', 'rm', '--force', 'same');
	await ctr.ok('containers', 'rm', 'same');
	await other.ok('images', 'rm', '--sync', images.busybox);
});
