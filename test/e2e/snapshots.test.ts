import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {command, succeed} from '../helpers/command.ts';
import {collect} from '../helpers/collect.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {endToEnd} from '../helpers/end-to-end.ts';

const scenario = endToEnd('snapshots');
const imageSnapshot = async (ctr: Ctr) => (await ctr.rows('snapshots', 'ls'))[0]?.[0] ?? '';
/** The mounts that a client is told, without the snapshotter's own paths. */
const shape = (line: string) => line.replaceAll(/[^\s,:=]+\/snapshots\/\d+\//gv, 'SNAPSHOT/').replace(/(?<= -o )\S+/v, options => options.split(',').toSorted().join(','));

scenario('the snapshot of an image is committed and says when', async ({t, ctr, same}) => {
	await collect(ctr);
	const key = await imageSnapshot(ctr);
	t.deepEqual((await ctr.rows('snapshots', 'ls')).map(row => row.slice(1)), [['Committed']]);
	const info = JSON.parse(await ctr.ok('snapshots', 'info', key)) as Record<string, unknown>;
	t.is(info['Kind'], 'Committed');
	t.is(info['Name'], key);
	t.regex(String(info['Created']), /^\d{4}-\d{2}-\d{2}T.*Z$/v);
	same('info', await ctr.ok('snapshots', 'info', key));
	same('ls', await ctr.ok('snapshots', 'ls'));
	same('tree', await ctr.ok('snapshots', 'tree'));
	same('usage', await ctr.ok('snapshots', 'usage', key));
});

scenario('prepare, commit and prepare again make a chain', async ({t, ctr, same}) => {
	await collect(ctr);
	const key = await imageSnapshot(ctr);
	t.is(await ctr.ok('snapshots', 'prepare', 'active', key), '');
	t.is(await ctr.ok('snapshots', 'commit', 'committed', 'active'), '');
	await ctr.ok('snapshots', 'prepare', 'child', 'committed');
	await ctr.ok('snapshots', 'view', 'looking', key);
	// Unlike prepare, view asks for no root: without this label a collection takes it.
	await ctr.ok('snapshots', 'label', 'looking', 'containerd.io/gc.root=now');
	await ctr.ok('snapshots', 'prepare', 'empty');
	same('tree', await ctr.ok('snapshots', 'tree'));
	same('ls', await ctr.ok('snapshots', 'ls'));
	same('usage', await ctr.ok('snapshots', 'usage', '-b', 'child', 'committed', 'looking', 'empty'));
	const info = JSON.parse(await ctr.ok('snapshots', 'info', 'child')) as Record<string, unknown>;
	t.is(info['Parent'], 'committed');
	t.is(info['Kind'], 'Active');
	t.is(await ctr.fails('snapshots', 'rm', 'committed'), 'ctr: failed to remove "committed": cannot remove snapshot with child: failed precondition\n');
	await ctr.ok('snapshots', 'rm', 'child', 'committed', 'looking', 'empty');
	t.deepEqual((await ctr.rows('snapshots', 'ls')).map(row => row[0]), [key]);
});

scenario('mounts are those that overlay or a bind needs', async ({t, ctr, same}) => {
	await collect(ctr);
	const key = await imageSnapshot(ctr);
	const active = await ctr.ok('snapshots', 'prepare', '--target', '/target', 'active', key);
	t.regex(active, /^mount -t overlay overlay \/target -o /v);
	t.is(await ctr.ok('snapshots', 'mounts', '/target', 'active'), active);
	same('active', shape(active));
	const view = await ctr.ok('snapshots', 'view', '--target', '/target', 'looking', key);
	t.regex(view, /^mount -t bind \S+ \/target -o ro,rbind/v);
	same('view of one layer', shape(view));
	same('no parent', shape(await ctr.ok('snapshots', 'prepare', '--target', '/target', 'empty')));
	await ctr.ok('snapshots', 'commit', 'committed', 'active');
	same('two layers', shape(await ctr.ok('snapshots', 'prepare', '--target', '/target', 'child', 'committed')));
	same('view of two layers', shape(await ctr.ok('snapshots', 'view', '--target', '/target', 'second', 'committed')));
	// Without a root a collection takes them, and containerd 1.6 then keeps a parent that can never be removed.
	for (const kept of ['looking', 'second']) {
		await ctr.ok('snapshots', 'label', kept, 'containerd.io/gc.root=now');
	}

	const [json] = JSON.parse(shape(await ctr.ok('snapshots', 'prepare', '--mounts', 'json', key))) as [{Options: string[]}];
	// containerd 2.1 moved index=off from the first place to the last.
	same('as JSON', {...json, Options: json.Options.toSorted()});
	await ctr.ok('snapshots', 'rm', 'looking', 'second', 'child', 'json', 'empty', 'committed');
});

scenario('what is written through the mounts is in the child and in a diff', async ({t, ctr, daemon}) => {
	await collect(ctr);
	const key = await imageSnapshot(ctr);
	const target = path.join(daemon.scratch, `target-${ctr.release}`);
	await mkdir(target);
	await succeed('sh', ['-c', await ctr.ok('snapshots', 'prepare', '--target', target, 'written', key)]);
	try {
		await writeFile(path.join(target, 'new-file'), 'new');
		await succeed('rm', [path.join(target, 'etc/group')]);
	} finally {
		await succeed('umount', [target]);
	}

	const {bytes} = await ctr.with({}, 'snapshots', 'diff', 'written');
	const {stdout} = await command('tar', ['tzf', '-'], {input: bytes});
	t.deepEqual(stdout.split('\n').filter(line => line !== '' && !line.endsWith('/')).toSorted(), ['etc/.wh.group', 'new-file']);
	await ctr.ok('snapshots', 'commit', 'kept', 'written');
	const [size, inodes] = (await ctr.rows('snapshots', 'usage', '-b', 'kept'))[0]?.slice(1) ?? [];
	t.true(Number(size) >= 4096);
	t.true(Number(inodes) >= 3);
	const seen = await ctr.ok('snapshots', 'prepare', '--target', target, 'seen', 'kept');
	await succeed('sh', ['-c', seen]);
	try {
		t.is((await succeed('cat', [path.join(target, 'new-file')])).stdout, 'new');
		t.not((await command('ls', [path.join(target, 'etc/group')])).code, 0);
	} finally {
		await succeed('umount', [target]);
	}

	await ctr.ok('snapshots', 'rm', 'seen', 'kept');
});

scenario('a name is taken once, and names that are not there are not found', async ({t, ctr}) => {
	const key = await imageSnapshot(ctr);
	await ctr.ok('snapshots', 'prepare', 'active', key);
	t.is(await ctr.fails('snapshots', 'prepare', 'active', key), 'ctr: snapshot "active": already exists\n');
	t.is(await ctr.fails('snapshots', 'commit', key, 'active'), `ctr: snapshot "${key}": already exists\n`);
	t.regex(await ctr.fails('snapshots', 'prepare', 'other', 'nobody'), /nobody.*not found/v);
	t.regex(await ctr.fails('snapshots', 'info', 'nobody'), /nobody.*not found/v);
	t.regex(await ctr.fails('snapshots', 'mounts', '/target', 'nobody'), /nobody.*not found/v);
	t.regex(await ctr.fails('snapshots', 'commit', 'new', 'nobody'), /nobody.*not found/v);
	t.regex(await ctr.fails('snapshots', 'rm', 'nobody'), /^ctr: failed to remove "nobody": .*not found\n$/v);
	await ctr.ok('snapshots', 'rm', 'active');
});

scenario('labels of a snapshot are set and cleared', async ({t, ctr}) => {
	const key = await imageSnapshot(ctr);
	await ctr.ok('snapshots', 'prepare', 'active', key);
	t.regex(await ctr.ok('snapshots', 'label', 'active', 'a=b'), /a=b/v);
	const info = JSON.parse(await ctr.ok('snapshots', 'info', 'active')) as {Labels: Record<string, string>};
	t.is(info.Labels['a'], 'b');
	await ctr.ok('snapshots', 'label', 'active', 'a=');
	t.is((JSON.parse(await ctr.ok('snapshots', 'info', 'active')) as {Labels: Record<string, string>}).Labels['a'], undefined);
	await ctr.ok('snapshots', 'rm', 'active');
});

scenario('an unknown snapshotter is named', async ({t, ctr}) => {
	t.is(await ctr.fails('snapshots', '--snapshotter', 'nobody', 'ls'), 'ctr: snapshotter not loaded: nobody: invalid argument\n');
});

scenario('unpack makes snapshots of content that is there', async ({t, images, fresh}) => {
	const ctr = fresh();
	await ctr.ok('content', 'fetch', '--plain-http', images.busybox);
	const manifest = (await ctr.rows('images', 'ls'))[0]?.[2] ?? '';
	await ctr.ok('snapshots', 'unpack', manifest);
	t.is((await ctr.rows('snapshots', 'ls')).length, 1);
	await ctr.ok('images', 'rm', '--sync', images.busybox);
});
