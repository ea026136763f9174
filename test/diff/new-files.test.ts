import {chmod, chown, lstat, mkdir} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {layerOf, tarOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {setAttribute} from '../../lib/sys/extended-attributes.ts';
import {createDiffer} from '../helpers/tar-differ.ts';

/** acl(5) as the kernel keeps it: version 2, then tag, permission and id of u::rwx, g::r-x, o::---. A new file of 0644 gets 0640 by it. */
const accessList = Buffer.concat([Buffer.from([2, 0, 0, 0]), ...[[1, 7], [4, 5], [0x20, 0]].map(([tag = 0, permission = 0]) => Buffer.from([tag, 0, permission, 0, 0xff, 0xff, 0xff, 0xff]))]);
const passesOnAccess = [{name: Buffer.from('system.posix_acl_default'), value: accessList}];

/** `mode uid:gid` of each name, as they lie on the disk. */
async function described(root: string, names: readonly string[]): Promise<Record<string, string>> {
	return Object.fromEntries(await Promise.all(names.map(async name => {
		const {mode, uid, gid} = await lstat(path.join(root, name));
		return [name, `${(mode & 0o7777).toString(8)} ${uid}:${gid}`];
	})));
}

test('files have the owner and the mode that their entries say, whatever a new file would get where they are', async t => {
	await using differ = await createDiffer('builtin');
	await using place = await Workplace.open();
	const bytes = tarOf([
		{name: 'first', mode: 0o640}, {name: 'wide', mode: 0o666}, {name: 'setuid', mode: 0o4755}, {name: 'owned', uid: 5, gid: 6}, {name: 'link', type: 'symlink', linkName: 'first', uid: 7, gid: 8},
		{name: 'rootlink', type: 'symlink', linkName: 'first'},
		{name: 'shared/', mode: 0o2775, gid: 50}, {name: 'shared/file'}, {name: 'shared/link', type: 'symlink', linkName: 'file'},
		{name: 'listed/', attributes: passesOnAccess}, {name: 'listed/file'}, {name: 'last'},
	]);
	const files = {
		first: '640 0:0', wide: '666 0:0', setuid: '4755 0:0', owned: '644 5:6', link: '777 7:8', rootlink: '777 0:0', shared: '2775 0:50', 'shared/file': '644 0:0', 'shared/link': '777 0:0',
		'listed/file': '644 0:0', last: '644 0:0',
	};
	for (const [name, prepare] of [
		['plain', async () => undefined],
		['setgid', async (root: string) => chown(root, 0, 50).then(async () => chmod(root, 0o2755))],
		['listed', async (root: string) => setAttribute(Buffer.from(root), passesOnAccess[0]?.name ?? '', accessList)],
		['full', async (root: string) => mkdir(path.join(root, 'shared'), {mode: 0o700}).then(async () => chown(path.join(root, 'shared'), 0, 50))],
	] as const) {
		const mounts = await place.bind(name);
		await prepare(place.at(name));
		await differ.apply(layerOf(bytes), mounts);
		t.deepEqual(await described(place.at(name), Object.keys(files)), files, name);
	}
});

for (const first of ['shared', 'listed']) {
	test(`a directory that comes from a lower layer passes nothing on: ${first} first`, async t => {
		await using differ = await createDiffer('builtin');
		await using place = await Workplace.open();
		const mounts = await place.overlay('upper', 'lower');
		for (const name of ['shared', 'listed']) {
			await mkdir(place.at(`lower/${name}`));
		}
		await chown(place.at('lower/shared'), 0, 50);
		await chmod(place.at('lower/shared'), 0o2755);
		setAttribute(Buffer.from(place.at('lower/listed')), passesOnAccess[0]?.name ?? '', accessList);
		const names = ['shared/file', 'listed/file'].toSorted((a, b) => Number(b.startsWith(first)) - Number(a.startsWith(first)));
		await differ.apply(layerOf(tarOf([...names, 'file'].map(name => ({name})))), mounts);
		t.deepEqual(await described(place.at('upper'), ['shared', 'shared/file', 'listed/file', 'file']), {shared: '2755 0:50', 'shared/file': '644 0:0', 'listed/file': '644 0:0', file: '644 0:0'});
	});
}
