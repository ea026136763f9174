import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {collect} from '../helpers/collect.ts';
import {command, succeed} from '../helpers/command.ts';
import type {Ctr} from '../helpers/ctr.ts';
import type {Daemon} from '../helpers/daemon.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {isSince} from '../helpers/releases.ts';
import {mountsUnder} from '../helpers/traces.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('images');

scenario('a pulled image is listed, complete and unpacked', async ({t, ctr, images, same}) => {
	const [row] = await ctr.rows('images', 'ls');
	t.is(row?.[0], images.busybox);
	same('ls', await ctr.ok('images', 'ls'));
	same('ls -q', await ctr.ok('images', 'ls', '-q'));
	same('check', await ctr.ok('images', 'check'));
	t.regex(await ctr.ok('images', 'check'), /complete \(2\/2\) .* true/v);
	t.deepEqual(await ctr.lines('images', 'check', '-q'), [images.busybox]);
});

scenario('a filter chooses images', async ({t, ctr, images}) => {
	t.deepEqual(await ctr.lines('images', 'ls', '-q', `name==${images.busybox}`), [images.busybox]);
	t.deepEqual(await ctr.lines('images', 'ls', '-q', 'name~=busybox'), [images.busybox]);
	t.deepEqual(await ctr.lines('images', 'ls', '-q', 'name==nobody'), []);
	t.regex(await ctr.fails('images', 'ls', 'name=~~nonsense'), /invalid argument/v);
});

scenario('pull says what it does and leaves no lease', async ({t, images, fresh}) => {
	const ctr = fresh();
	const {code, stdout} = await ctr.run('images', 'pull', '--plain-http', '--label', 'color=teal', images.zstd);
	t.is(code, 0);
	t.true(stdout.includes(images.zstd));
	t.regex(stdout, isSince(ctr.release, '2.1') ? /fetching image content/v : /unpacking linux\/\w+ sha256:[0-9a-f]{64}\.\.\.\ndone:/v);
	t.deepEqual(await ctr.lines('leases', 'ls', '-q'), []);
	t.deepEqual(await ctr.rows('content', 'active'), []);
	if (!isSince(ctr.release, '2.1')) {
		t.regex(await ctr.ok('images', 'ls'), /color=teal/v);
	}

	await ctr.ok('images', 'rm', '--sync', images.zstd);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
	t.deepEqual(await ctr.rows('snapshots', 'ls'), []);
});

scenario('pulling again changes nothing', async ({t, ctr, images}) => {
	const before = await ctr.lines('content', 'ls', '-q');
	await ctr.ok('images', 'pull', '--plain-http', images.busybox);
	t.deepEqual((await ctr.lines('content', 'ls', '-q')).toSorted(), before.toSorted());
	t.deepEqual(await ctr.lines('images', 'ls', '-q'), [images.busybox]);
});

scenario('of an index the host\'s platform is pulled', async ({t, images, fresh, same}) => {
	const ctr = fresh();
	await ctr.ok('images', 'pull', '--plain-http', images.index);
	same('check', await ctr.ok('images', 'check'));
	same('content', (await ctr.lines('content', 'ls', '-q')).length);
	t.is(await ctr.prints('run', '--rm', images.index, 'from-index', 'echo', 'native'), 'native\n');
	await ctr.ok('images', 'rm', '--sync', images.index);
});

scenario('--all-platforms pulls every platform, --platform the one named', async ({t, images, fresh, same}) => {
	const ctr = fresh();
	await ctr.ok('images', 'pull', '--plain-http', '--all-platforms', images.index);
	same('content', (await ctr.lines('content', 'ls', '-q')).length);
	t.is((await ctr.lines('content', 'ls', '-q')).length, 7);
	await ctr.ok('images', 'rm', '--sync', images.index);
	const foreign = process.arch === 'arm64' ? 'amd64' : 'arm64';
	await ctr.ok('images', 'pull', '--plain-http', '--platform', `linux/${foreign}`, images.index);
	same('content of one platform', (await ctr.lines('content', 'ls', '-q')).length);
	const checked = await ctr.run('images', 'check');
	same('check', [checked.code, checked.stdout]);
	await ctr.ok('images', 'rm', '--sync', images.index);
});

scenario('what pull stores carries the labels that collection and push rely on', async ({ctr, images, same}) => {
	const rows = await ctr.rows('content', 'ls');
	same('content', rows.map(row => [row[0], row[1], row.at(-1)?.split(',').toSorted().map(label => label.replace(images.busybox, 'IMAGE'))]).toSorted((a, b) => String(a).localeCompare(String(b))));
});

scenario('an image gets another name', async ({t, ctr, images}) => {
	t.is(await ctr.ok('images', 'tag', images.busybox, 'local/one:1'), 'local/one:1\n');
	t.true((await ctr.lines('images', 'ls', '-q')).includes('local/one:1'));
	const again = await ctr.run('images', 'tag', images.busybox, 'local/one:1');
	if (isSince(ctr.release, '2.1')) {
		t.is(again.code, 0);
	} else {
		t.is(again.code, 1);
		t.is(again.stderr, 'ctr: image "local/one:1": already exists\n');
	}

	t.is(await ctr.ok('images', 'tag', '--force', images.busybox, 'local/one:1', 'local/two:2'), 'local/one:1\nlocal/two:2\n');
	t.is(await ctr.ok('images', 'rm', 'local/one:1', 'local/two:2'), 'local/one:1\nlocal/two:2\n');
	t.deepEqual(await ctr.lines('images', 'ls', '-q'), [images.busybox]);
	t.regex(await ctr.fails('images', 'tag', 'nobody:1', 'local/x:1'), /not found/v);
});

scenario('removing an image that is not there warns and succeeds', async ({t, ctr}) => {
	const {code, stdout, stderr} = await ctr.run('images', 'rm', 'nobody:1');
	t.is(code, 0);
	t.is(stdout, '');
	t.regex(stderr, /nobody:1: image not found/v);
});

scenario('labels of an image are set and cleared', async ({t, ctr, images}) => {
	t.regex(await ctr.ok('images', 'label', images.busybox, 'a=1', 'b=2'), /a=1/v);
	t.regex(await ctr.ok('images', 'ls'), /a=1,b=2/v);
	await ctr.ok('images', 'label', images.busybox, 'a=', 'b=');
	t.notRegex(await ctr.ok('images', 'ls'), /a=1/v);
});

/** containerd 2.1 answers a transfer before its client has written the end of the archive: the peer is asked until it is whole. Ours has to be at once. */
async function whole(ctr: Ctr, daemon: Daemon, file: string, image: string): Promise<void> {
	if (daemon.kind === 'containerd') {
		await until('an export that is whole', async () => (await command('tar', ['tf', file])).code === 0 || (await ctr.run('images', 'export', file, image)).code === undefined);
	}
}

scenario('an export is an OCI archive that imports elsewhere', async ({t, ctr, daemon, images, fresh, same}) => {
	const file = path.join(daemon.scratch, `export-${ctr.release}.tar`);
	t.is(await ctr.ok('images', 'export', file, images.busybox), '');
	await whole(ctr, daemon, file, images.busybox);
	const {stdout} = await succeed('tar', ['tf', file]);
	same('files', stdout);
	const index = JSON.parse((await succeed('tar', ['xOf', file, 'index.json'])).stdout) as {manifests: Array<{digest: string; annotations: Record<string, string>}>};
	same('index', index);
	t.is(index.manifests[0]?.annotations['io.containerd.image.name'], images.busybox);

	const other = fresh();
	const said = await other.ok('images', 'import', file);
	if (!isSince(ctr.release, '2.1')) {
		t.regex(said, /unpacking .*\.\.\.done/v);
	}

	t.deepEqual(await other.lines('images', 'ls', '-q'), [images.busybox]);
	// Since 2.0 containerd keeps the archive's index too, which nothing refers to.
	await collect(other);
	same('imported content', (await other.lines('content', 'ls', '-q')).length);
	t.is(await other.prints('run', '--rm', images.busybox, 'imported', 'echo', 'hello'), 'hello\n');
	t.deepEqual(await other.lines('leases', 'ls', '-q'), []);
	await other.ok('images', 'rm', '--sync', images.busybox);
});

scenario('an import from standard input, without unpacking', async ({t, ctr, daemon, images, fresh}) => {
	const file = path.join(daemon.scratch, `stdin-${ctr.release}.tar`);
	await ctr.ok('images', 'export', file, images.busybox);
	await whole(ctr, daemon, file, images.busybox);
	const other = fresh();
	const {code} = await other.with({input: await readFile(file)}, 'images', 'import', '--no-unpack', '-');
	t.is(code, 0);
	t.deepEqual(await other.rows('snapshots', 'ls'), []);
	t.regex(await other.ok('images', 'check'), /complete \(2\/2\) .* false/v);
	await other.ok('images', 'rm', '--sync', images.busybox);
});

scenario('an archive that is none is refused', async ({t, ctr, daemon, fresh}) => {
	const file = path.join(daemon.scratch, `garbage-${ctr.release}.tar`);
	await writeFile(file, 'this is no archive '.repeat(200));
	const other = fresh();
	await other.fails('images', 'import', file);
	t.deepEqual(await other.lines('images', 'ls', '-q'), []);
	t.deepEqual(await other.lines('leases', 'ls', '-q'), []);
});

scenario('an image is mounted read-only, or writable, and unmounted', async ({t, ctr, daemon, images}) => {
	const target = path.join(daemon.scratch, `mnt-${ctr.release}`);
	await mkdir(target);
	const [snapshot] = await ctr.rows('snapshots', 'ls');
	t.is(await ctr.ok('images', 'mount', images.busybox, target), `${snapshot?.[0]}\n${target}\n`);
	t.true((await readdir(target)).includes('bin'));
	await t.throwsAsync(writeFile(path.join(target, 'new'), ''), {code: 'EROFS'});
	t.true((await ctr.rows('snapshots', 'ls')).some(row => row[0] === target && row[2] === 'View'));
	t.is(await ctr.ok('images', 'unmount', '--rm', target), `${target}\n`);
	t.deepEqual(await mountsUnder(target), []);
	t.is((await ctr.rows('snapshots', 'ls')).length, 1);

	await ctr.ok('images', 'mount', '--rw', images.busybox, target);
	await writeFile(path.join(target, 'new'), 'written');
	t.is((await stat(path.join(target, 'new'))).size, 7);
	t.is(await ctr.ok('images', 'unmount', target), `${target}\n`);
	t.true((await ctr.rows('snapshots', 'ls')).some(row => row[0] === target && row[2] === 'Active'));
	await ctr.ok('snapshots', 'rm', target);
	t.deepEqual(await mountsUnder(target), []);
	await ctr.ok('leases', 'rm', '--sync', target);
});

scenario('an image that the registry does not have is not pulled', async ({t, registry, fresh}) => {
	const ctr = fresh();
	t.regex(await ctr.fails('images', 'pull', '--plain-http', `${registry.host}/nobody:latest`), /not found/v);
	t.regex(await ctr.fails('images', 'pull', '--plain-http', `${registry.host}/busybox:none`), /not found/v);
	t.deepEqual(await ctr.lines('images', 'ls', '-q'), []);
	t.deepEqual(await ctr.lines('leases', 'ls', '-q'), []);
});
