import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {containerd} from '../helpers/containerd-program.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {Daemon} from '../helpers/daemon.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {tree, type Entry} from '../helpers/tree.ts';

const scenario = endToEnd('tree', {pulls: false});

async function unpacked(ctr: Ctr, daemon: Daemon, image: string): Promise<Record<string, Entry>> {
	const target = path.join(daemon.scratch, `tree-${ctr.namespace}`);
	await mkdir(target, {recursive: true});
	const begin = BigInt(Date.now()) * 1_000_000n;
	await ctr.ok('images', 'pull', '--plain-http', image);
	await ctr.ok('images', 'mount', image, target);
	try {
		const entries = await tree(target);
		const end = BigInt(Date.now() + 1) * 1_000_000n;
		// A directory that no layer names has the time at which it was made.
		return Object.fromEntries(Object.entries(entries).map(([name, entry]) => {
			const isMadeNow = BigInt(entry.mtime) >= begin && BigInt(entry.mtime) <= end;
			return [name, isMadeNow ? {...entry, mtime: 'now'} : entry];
		}));
	} finally {
		await ctr.ok('images', 'unmount', '--rm', target);
		await ctr.run('leases', 'rm', target);
		await ctr.ok('images', 'rm', '--sync', image);
	}
}

scenario('an image with every oddity is unpacked as its layers say', async ({t, daemon, fresh, images}) => {
	const entries = await unpacked(fresh(), daemon, images.odd);
	t.is(entries['kinds/setuid']?.mode, '4755');
	t.is(entries['kinds/setgid-directory']?.mode, '2775');
	t.is(entries['kinds/owned']?.owner, '1234:4321');
	t.is(entries['kinds/owned']?.mode, '4750');
	t.is(entries['kinds/far-owner']?.owner, '3000000:3000001');
	t.is(entries['gnu/far-owner']?.owner, '3000000:3000001');
	t.is(entries['times/nanoseconds']?.mtime, '1600000000123456789');
	t.is(entries['times/old']?.mtime, '946684798000000000');
	t.is(entries['kinds/dangling']?.link, '../nowhere');
	t.is(entries['kinds/dangling']?.mtime, '1234567890000000000');
	t.is(entries['names/caf\u00E9-\u00FF']?.size, 7);
	t.is(entries['xattrs/note']?.xattrs['user.note'], Buffer.from('hello').toString('hex'));
	t.is(entries['xattrs/binary']?.xattrs['user.binary'], 'fffe800a3dc328');
	t.is(entries['xattrs/capable']?.xattrs['security.capability'], '010000038120008000000000ff80000000000000badcfe00');
	t.is(entries['hard/b']?.first, entries['hard/c']?.first);
	t.not(entries['hard/a']?.first, entries['hard/b']?.first);
	t.is(entries['hard/e']?.first, entries['hard/a']?.first);
	t.is(entries['pax/sparse']?.size, 200_000);
	for (const gone of ['gone-directory/a', 'opaque/x', 'opaque/sub/z', 'opaque-late/x', 'opaque-empty/x', 'deep/1/2/3/x', 'opaque/new', 'link-to-directory', 'many/f0', 'many/l1']) {
		t.is(entries[gone], undefined, gone);
	}

	t.false(Object.keys(entries).some(name => path.basename(name).startsWith('.wh.')));
	t.is(entries['file-to-directory/inside']?.size, 25);
	t.is(entries['directory-to-link']?.link, 'etc');
	t.is(entries['implicit']?.mode, '700');
	t.is(entries['implicit/below']?.mode, '2711');
	t.is(entries['twice']?.mode, '600');
	t.is(entries['ustar']?.mode, '500');
});

scenario('odd:latest is entry by entry what containerd 1.6 unpacks', async ({t, daemon, fresh, images}) => {
	const mine = await unpacked(fresh(), daemon, images.odd);
	await using peer = await Daemon.start(containerd('1.6'));
	const theirs = await unpacked(peer.ctr('1.6', peer.namespace('e2e-tree')), peer, images.odd);
	t.true(Object.keys(theirs).length > 300);
	t.deepEqual(Object.keys(mine), Object.keys(theirs));
	for (const [name, entry] of Object.entries(theirs)) {
		// containerd gives the time of unpacking to a directory that a layer passes through and does not name: such a time says nothing.
		t.deepEqual(entry.mtime === 'now' ? {...mine[name], mtime: 'now'} : mine[name], entry, name);
	}
});
