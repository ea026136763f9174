import test from 'ava';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';
import {sqliteInMemory} from './sqlite-in-memory.ts';

test('a snapshotter is told the labels that are meant for it, and the client\'s own are kept beside', async t => {
	const snapshotter = new MemorySnapshotter();
	await using house = sqliteInMemory({snapshotter});
	const snapshots = house.scope({namespace: 'n'}).snapshotter('memory');
	const meant = {'containerd.io/snapshot.ref': 'one', 'containerd.io/snapshot/uidmapping': '0:1:1'};
	const own = {mine: 'x', 'containerd.io/snapshots': 'y', 'containerd.io/gc.root': 'z'};
	const told = async (): Promise<readonly object[]> => (await Array.fromAsync(snapshotter.list())).map(({labels}) => labels);
	await snapshots.prepare('key', '', {labels: {...meant, ...own}});
	t.deepEqual(await told(), [meant]);
	t.deepEqual((await snapshots.stat('key')).labels, {...meant, ...own});
	await snapshots.commit('one', 'key', {labels: {...own, 'containerd.io/snapshot/later': '1'}});
	t.deepEqual(await told(), [{'containerd.io/snapshot/later': '1'}]);
	// A reference to what is there already would be refused.
	const other = {...meant, 'containerd.io/snapshot.ref': 'two'};
	await snapshots.view('view', 'one', {labels: {...other, ...own}});
	t.deepEqual((await told()).toSorted((a, b) => Object.keys(a).length - Object.keys(b).length), [{'containerd.io/snapshot/later': '1'}, other]);
});
