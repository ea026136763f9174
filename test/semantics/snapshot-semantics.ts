import {lstat} from 'node:fs/promises';
import {release} from 'node:os';
import type {Client} from '../../client/index.ts';
import {hold} from './hold.ts';
import type {Fact} from './semantics-suite.ts';

const snapshotter = 'overlayfs';

/** File trees. */
export function snapshotSemantics(fact: Fact): void {
	fact('trap 10: prepare that finds its key, or its target, answers ALREADY_EXISTS and leases it all the same', async (t, room) => {
		using client = room.fresh();
		const {snapshots, leases} = client.services;
		const ref = 'containerd.io/snapshot.ref';
		for (const id of ['maker', 'keeps-key', 'keeps-target']) {
			await leases.create({id});
		}
		await snapshots.prepare({snapshotter, key: 'k'}, {lease: 'maker'});
		await t.throwsAsync(snapshots.prepare({snapshotter, key: 'k'}, {lease: 'keeps-key'}), {code: 'ALREADY_EXISTS'});
		await snapshots.prepare({snapshotter, key: 'extract', labels: {[ref]: 'chain'}}, {lease: 'maker'});
		await snapshots.commit({snapshotter, key: 'extract', name: 'chain', labels: {[ref]: 'chain'}}, {lease: 'maker'});
		await t.throwsAsync(snapshots.prepare({snapshotter, key: 'other', labels: {[ref]: 'chain'}}, {lease: 'keeps-target'}), {code: 'ALREADY_EXISTS'});
		await leases.delete({id: 'maker', sync: true});
		t.deepEqual(await namesOf(client), ['chain', 'k']);
		await leases.delete({id: 'keeps-key', sync: true});
		t.deepEqual(await namesOf(client), ['chain']);
		await leases.delete({id: 'keeps-target', sync: true});
		t.deepEqual(await namesOf(client), []);
	}, {since: '2.1'});

	fact('overlay without parents, and a view with one, is a bind mount; otherwise it is an overlay', async (t, room) => {
		using client = room.fresh();
		const {snapshots} = client.services;
		const held = await hold(client);
		const [first] = (await snapshots.prepare({snapshotter, key: 'a'}, held)).mounts;
		t.is(first?.type, 'bind');
		t.true(first?.options.includes('rw'));
		await snapshots.commit({snapshotter, key: 'a', name: 'one'}, held);
		const [view] = (await snapshots.view({snapshotter, key: 'v', parent: 'one'}, held)).mounts;
		t.is(view?.type, 'bind');
		t.true(view?.options.includes('ro'));
		const [second] = (await snapshots.prepare({snapshotter, key: 'b', parent: 'one'}, held)).mounts;
		t.is(second?.type, 'overlay');
		await snapshots.commit({snapshotter, key: 'b', name: 'two'}, held);
		const [both] = (await snapshots.view({snapshotter, key: 'w', parent: 'two'}, held)).mounts;
		t.is(both?.type, 'overlay');
		t.false(both?.options.some(option => option.startsWith('upperdir=')));
	});

	fact('overlay says what it can; with mapping labels the upper directory belongs to the mapped root', async (t, room) => {
		using client = room.fresh();
		const {plugins} = await client.services.introspection.plugins({filters: ['type==io.containerd.snapshotter.v1,id==overlayfs']});
		// The first is the kernel's, since 5.19; the second that owners are not changed file by file; containerd has the third since 2.2.
		const [major = 0, minor = 0] = release().split('.').map(Number);
		const canMap = major > 5 || (major === 5 && minor >= 19);
		t.deepEqual(plugins[0]?.capabilities, [...canMap ? ['remap-ids'] : [], 'only-remap-ids', ...room.daemon.kind === 'keelson' ? ['rebase'] : []]);
		const labels = {'containerd.io/snapshot/uidmapping': '0:100000:65536', 'containerd.io/snapshot/gidmapping': '0:200000:65536'};
		const [mount] = (await client.services.snapshots.prepare({snapshotter, key: 'mapped', labels}, await hold(client))).mounts;
		const {uid, gid} = await lstat(mount?.source ?? '');
		t.deepEqual({uid, gid}, {uid: 100_000, gid: 200_000});
		t.is(mount?.options.some(option => option.startsWith('uidmap=')), canMap);
	}, {since: '2.1'});

	fact('a snapshot that is looked at is as it was made: kind, parent, labels, usage', async (t, room) => {
		using client = room.fresh();
		const {snapshots} = client.services;
		const labels = {'containerd.io/snapshot.ref': 'one', 'containerd.io/snapshot/cri.layer-digest': 'x', mine: 'y'};
		const held = await hold(client);
		await snapshots.prepare({snapshotter, key: 'a', labels}, held);
		t.deepEqual((await snapshots.stat({snapshotter, key: 'a'})).info?.labels, labels);
		await snapshots.commit({snapshotter, key: 'a', name: 'one', labels: {kept: '1'}}, held);
		t.deepEqual((await snapshots.stat({snapshotter, key: 'one'})).info?.labels, {kept: '1'});
		// containerd's overlay has nothing to clean up.
		if (room.daemon.kind === 'keelson') {
			await snapshots.cleanup({snapshotter});
		}
		t.true((await snapshots.usage({snapshotter, key: 'one'})).inodes >= 1n);
	});
}

async function namesOf(client: Client): Promise<string[]> {
	const names: string[] = [];
	for await (const {info} of client.services.snapshots.list({snapshotter})) {
		names.push(...info.map(({name}) => name));
	}
	return names.toSorted();
}
