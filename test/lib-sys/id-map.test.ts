import {mkdtemp, readdir, rm, stat, writeFile, mkdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {mountMapped, openUserNamespace} from '../../lib/sys/id-map.ts';
import {unmountAll} from '../../lib/sys/mount.ts';

const children = async (): Promise<number> => (await readdir('/proc/self/fd')).length;

test.serial('a tree that is mounted with maps has other owners there, and its own here', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-idmap-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	const [source, target] = [path.join(directory, 'source'), path.join(directory, 'target')];
	await Promise.all([mkdir(source), mkdir(target)]);
	await writeFile(path.join(source, 'file'), 'x');
	{
		using namespace = await openUserNamespace({uids: '0:1000:5,5:3000:1', gids: '0:2000:5'});
		mountMapped(source, target, namespace.fd);
	}
	t.like(await stat(path.join(target, 'file')), {uid: 1000, gid: 2000});
	t.like(await stat(path.join(source, 'file')), {uid: 0, gid: 0});
	await unmountAll(target);
});

// Descriptors of the process are counted: nobody else may open any meanwhile.
test.serial('maps that are none are refused, and nothing stays open', async t => {
	const before = await children();
	for (const uids of ['', 'x', '0:1', '0:0:0', '0:1:1,0:2:1']) {
		await t.throwsAsync(openUserNamespace({uids, gids: '0:1:1'}), {code: 'INVALID_ARGUMENT'}, uids);
	}
	t.is(await children(), before);
});

test.serial('a tree that is not there, or whose owners cannot be mapped, is refused', async t => {
	using namespace = await openUserNamespace({uids: '0:1000:1', gids: '0:1000:1'});
	t.throws(() => mountMapped('/nowhere/at/all', tmpdir(), namespace.fd), {code: 'NOT_FOUND'});
	t.throws(() => mountMapped('/proc', tmpdir(), namespace.fd), {code: 'INVALID_ARGUMENT'});
});
