import {chown, mkdir, readFile, readdir, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import test from 'ava';
import {isKeelsonError} from '../../kernel/errors.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {MS, parseMountOptions} from '../../lib/sys/mount-options.ts';
import {mountsUnder, parseMountTable} from '../../lib/sys/mount-table.ts';
import {performMount, performMounts, planMount, unmount, unmountAll} from '../../lib/sys/mount.ts';
import {mountByConfiguration, mountFromSharedParent, splitLayers} from '../../lib/sys/overlay-mount.ts';
import {scratch} from './scratch.ts';

test('options become flags, propagation and data, and the later wins', t => {
	t.deepEqual(parseMountOptions(['ro', 'nosuid', 'rbind', 'rslave', 'lowerdir=a:b', 'rw', 'ro']), {
		flags: MS.RDONLY | MS.NOSUID | MS.BIND | MS.REC,
		propagation: MS.SLAVE | MS.REC,
		isLoop: false,
		idMaps: undefined,
		data: ['lowerdir=a:b'],
	});
	t.deepEqual(parseMountOptions(['ro', 'rw', 'defaults', '']), {flags: 0, propagation: 0, isLoop: false, idMaps: undefined, data: []});
});

test('maps of owners come in pairs, and are no data of the file system', t => {
	t.like(parseMountOptions(['uidmap=0:1000:1', 'ro', 'gidmap=0:2000:1', 'x']), {idMaps: {uids: '0:1000:1', gids: '0:2000:1'}, data: ['x']});
	for (const option of ['uidmap=0:1000:1', 'gidmap=0:1000:1']) {
		t.true(isKeelsonError(t.throws(() => parseMountOptions([option])), 'INVALID_ARGUMENT'));
	}
});

test('layers of an overlay, and what is bound, may seem to be owned by others', async t => {
	await using dir = await scratch();
	const at = (name: string): string => `${dir.path}/${name}`;
	await Promise.all(['a:1', 'b', 'upper', 'work', 'merged', 'bound'].map(async name => mkdir(at(name))));
	await writeFile(at('a:1/one'), 'x');
	await writeFile(at('b/two'), 'x');
	await chown(at('b/two'), 3, 4);
	const temporary = async (): Promise<string[]> => (await readdir(tmpdir())).filter(name => name.startsWith('keelson-mapped-'));
	const maps = ['uidmap=0:1000:10', 'gidmap=0:2000:10'];
	await performMount({type: 'overlay', source: 'overlay', options: [...maps, `workdir=${at('work')}`, `upperdir=${at('upper')}`, `lowerdir=${at('a\\:1')}:${at('b')}`]}, at('merged'));
	t.like(await stat(at('merged/one')), {uid: 1000, gid: 2000});
	t.like(await stat(at('merged/two')), {uid: 1003, gid: 2004});
	t.like(await stat(at('b/two')), {uid: 3, gid: 4});
	await writeFile(at('merged/mine'), 'x');
	t.like(await stat(at('upper/mine')), {uid: 0, gid: 0});
	await performMount({type: 'bind', source: at('b'), options: [...maps, 'rbind', 'ro']}, at('bound'));
	t.like(await stat(at('bound/two')), {uid: 1003, gid: 2004});
	await t.throwsAsync(writeFile(at('bound/three'), ''), {code: 'EROFS'});
	t.deepEqual(await temporary(), []);
	await unmountAll(at('merged'));
	await unmountAll(at('bound'));
	await t.throwsAsync(performMount({type: 'overlay', source: 'overlay', options: [...maps, `lowerdir=${at('b')}:${at('nowhere')}`]}, at('merged')), {code: 'NOT_FOUND'});
	await t.throwsAsync(performMount({type: 'tmpfs', source: 'tmpfs', options: maps}, at('merged')), {code: 'UNIMPLEMENTED'});
	t.deepEqual(await temporary(), []);
	t.deepEqual(await mountsUnder(dir.path), []);
});

test('a read-only bind is bound, remounted, then spread', t => {
	const plan = planMount({type: 'bind', source: '/a', options: ['rbind', 'ro', 'rprivate']}, '/b');
	t.deepEqual(plan.map(({flags}) => flags), [
		MS.BIND | MS.REC | MS.RDONLY,
		MS.BIND | MS.REMOUNT | MS.RDONLY,
		MS.PRIVATE | MS.REC,
	]);
});

test('lines of mountinfo are read with their escapes and without optional fields', t => {
	const text = '36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n'
		+ '37 36 0:5 / /proc rw - proc proc rw\n';
	const [first, second] = parseMountTable(text);
	t.is(first?.mountPoint, '/mnt 2\\x');
	t.deepEqual(first?.propagation, ['master:1', 'shared:2']);
	t.deepEqual(first?.superOptions, ['rw', 'errors=continue']);
	t.deepEqual(second?.propagation, []);
	t.is(second?.parentId, 36);
	t.throws(() => parseMountTable('what is this'), {message: /mountinfo/});
});

test('overlay layers are split at bare colons only', t => {
	t.deepEqual(splitLayers('/a:/b\\:c:/d\\\\e'), ['/a', '/b:c', '/d\\e']);
});

test('a bind mount is read-only when it says so, stacked and taken away', async t => {
	await using dir = await scratch();
	await mkdir(`${dir.path}/from`);
	await mkdir(`${dir.path}/to dir`);
	await writeFile(`${dir.path}/from/file`, 'x');
	const to = `${dir.path}/to dir`;
	await performMount({type: 'bind', source: `${dir.path}/from`, options: ['rbind', 'ro', 'nosuid']}, to);
	await performMount({type: 'bind', source: `${dir.path}/from`, options: ['rbind', 'ro']}, to);
	t.is(await readFile(`${to}/file`, 'utf8'), 'x');
	await t.throwsAsync(writeFile(`${to}/file`, 'y'), {code: 'EROFS'});
	const mounts = await mountsUnder(to);
	t.deepEqual(mounts.map(({mountPoint}) => mountPoint), [to, to]);
	t.true(mounts[1]?.options.includes('nosuid'));
	await unmountAll(to);
	t.deepEqual(await mountsUnder(dir.path), []);
	await unmountAll(to);
	await unmountAll(`${dir.path}/missing`);
});

test('an overlay takes writes above and leaves what is below', async t => {
	await using dir = await scratch();
	await Promise.all(['lower', 'upper', 'work', 'merged'].map(async name => mkdir(`${dir.path}/${name}`)));
	await writeFile(`${dir.path}/lower/a`, 'below');
	const options = [`lowerdir=${dir.path}/lower`, `upperdir=${dir.path}/upper`, `workdir=${dir.path}/work`];
	await performMount({type: 'overlay', source: 'overlay', options}, `${dir.path}/merged`);
	await writeFile(`${dir.path}/merged/a`, 'above');
	t.is(await readFile(`${dir.path}/lower/a`, 'utf8'), 'below');
	t.is(await readFile(`${dir.path}/upper/a`, 'utf8'), 'above');
	await unmountAll(`${dir.path}/merged`);
	t.deepEqual(await readdir(`${dir.path}/merged`), []);
});

test('an overlay of more layers than fit into a page mounts, with every layer', async t => {
	await using dir = await scratch();
	const layers = Array.from({length: 120}, (_, index) => `${dir.path}/${'long-'.repeat(8)}/snapshots/${index}/fs`);
	for (const [index, layer] of layers.entries()) {
		await mkdir(layer, {recursive: true});
		await writeFile(`${layer}/only-${index}`, '');
		await writeFile(`${layer}/shared`, String(index));
	}
	await mkdir(`${dir.path}/merged`);
	const merged = `${dir.path}/merged`;
	const data = [`lowerdir=${layers.join(':')}`];
	const check = async (): Promise<void> => {
		t.is((await readdir(merged)).length, 121);
		t.is(await readFile(`${merged}/shared`, 'utf8'), '0', 'the first named is the uppermost');
		await unmountAll(merged);
	};
	await performMount({type: 'overlay', source: 'overlay', options: [...data, 'ro', 'nosuid']}, merged);
	t.true((await mountsUnder(merged))[0]?.options.includes('nosuid'));
	await check();
	mountByConfiguration({source: 'overlay', target: merged, flags: 0, data});
	await check();
	await mountFromSharedParent({source: 'overlay', target: merged, flags: 0, data});
	await check();
});

test('mounts below one root stay within it and are undone when one fails', async t => {
	await using dir = await scratch();
	await mkdir(`${dir.path}/root/inner`, {recursive: true});
	await mkdir(`${dir.path}/etc`);
	await symlink('/etc', `${dir.path}/root/escape`);
	const tmpfs = {type: 'tmpfs', source: 'tmpfs', options: ['size=64k']};
	await t.throwsAsync(performMounts([{...tmpfs, target: '/inner'}, {...tmpfs, target: 'escape'}], `${dir.path}/root`), {code: 'NOT_FOUND'});
	t.deepEqual(await mountsUnder(dir.path), []);
	await mkdir(`${dir.path}/root/etc`);
	await performMounts([{...tmpfs, target: 'escape'}], `${dir.path}/root`);
	t.deepEqual((await mountsUnder(dir.path)).map(({mountPoint}) => mountPoint), [`${dir.path}/root/etc`]);
});

test('a failed call says what, where and why, with errno in its cause', async t => {
	await using dir = await scratch();
	const error = t.throws(() => unmount(`${dir.path}/nothing`));
	t.true(isKeelsonError(error, 'NOT_FOUND'));
	t.is(errnoOf(error), 'ENOENT');
	t.is(error.message, `unmount ${dir.path}/nothing: ENOENT (no such file or directory)`);
	t.like(error.cause, {code: 'ENOENT', errno: 2});
	const failed = await t.throwsAsync(performMount({type: 'overlay', source: 'overlay', options: ['lowerdir=/missing']}, dir.path));
	t.is(errnoOf(failed), 'ENOENT');
});

