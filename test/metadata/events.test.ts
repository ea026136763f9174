import test from 'ava';
import {containerOf, descriptorOf, digestOf, put} from '../../contracts/metadata/metadata-story.suite.ts';
import {sqliteInMemory} from './sqlite-in-memory.ts';

test('each change is told under its topic, with what it was', async t => {
	await using house = sqliteInMemory();
	const scope = house.scope({namespace: 'n'});
	await house.namespaces.create({name: 'n', labels: {a: '1'}});
	await house.namespaces.update({name: 'n', labels: {}}, []);
	await scope.images.create({name: 'i', labels: {l: 'v'}, target: descriptorOf('x')});
	await scope.images.update({name: 'i', labels: {}, target: descriptorOf('x')}, ['labels']);
	await scope.images.delete('i');
	await scope.containers.create(containerOf('c', {image: 'i'}));
	await scope.containers.update(containerOf('c', {image: 'j'}), ['image']);
	await scope.containers.delete('c');
	const digest = await put(scope, 'text');
	await scope.content.delete(digest);
	const snapshots = scope.snapshotter('memory');
	await snapshots.prepare('k', '');
	await snapshots.commit('s', 'k');
	await snapshots.remove('s');
	await house.namespaces.delete('n');

	t.true(house.events.envelopes.every(({namespace}) => namespace === 'n'));
	t.deepEqual(house.events.envelopes.map(({topic, event}) => [topic, event]), [
		['/namespaces/create', {type: 'containerd.events.NamespaceCreate', value: {name: 'n', labels: {a: '1'}}}],
		['/namespaces/update', {type: 'containerd.events.NamespaceUpdate', value: {name: 'n', labels: {}}}],
		['/images/create', {type: 'containerd.services.images.v1.ImageCreate', value: {name: 'i', labels: {l: 'v'}}}],
		['/images/update', {type: 'containerd.services.images.v1.ImageUpdate', value: {name: 'i', labels: {}}}],
		['/images/delete', {type: 'containerd.services.images.v1.ImageDelete', value: {name: 'i'}}],
		['/containers/create', {type: 'containerd.events.ContainerCreate', value: {id: 'c', image: 'i', runtime: {name: 'io.containerd.runc.v2'}}}],
		['/containers/update', {type: 'containerd.events.ContainerUpdate', value: {id: 'c', image: 'j', labels: {}, snapshotKey: ''}}],
		['/containers/delete', {type: 'containerd.events.ContainerDelete', value: {id: 'c'}}],
		['/content/create', {type: 'containerd.events.ContentCreate', value: {digest: digestOf('text'), size: 4n}}],
		['/content/delete', {type: 'containerd.events.ContentDelete', value: {digest: digestOf('text')}}],
		['/snapshot/prepare', {type: 'containerd.events.SnapshotPrepare', value: {key: 'k', parent: '', snapshotter: 'memory'}}],
		['/snapshot/commit', {type: 'containerd.events.SnapshotCommit', value: {key: 'k', name: 's', snapshotter: 'memory'}}],
		['/snapshot/remove', {type: 'containerd.events.SnapshotRemove', value: {key: 's', snapshotter: 'memory'}}],
		['/namespaces/delete', {type: 'containerd.events.NamespaceDelete', value: {name: 'n'}}],
	]);
});

test('what failed is not told', async t => {
	await using house = sqliteInMemory();
	const scope = house.scope({namespace: 'n', lease: 'nobody'});
	await t.throwsAsync(scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')}), {code: 'NOT_FOUND'});
	await t.throwsAsync(scope.containers.delete('c'), {code: 'NOT_FOUND'});
	t.deepEqual(house.events.envelopes, []);
});

test('what the collector takes is told', async t => {
	await using house = sqliteInMemory();
	const scope = house.scope({namespace: 'n'});
	await scope.snapshotter('memory').prepare('k', '');
	await scope.images.create({name: 'i', labels: {'containerd.io/gc.expire': new Date(0).toISOString()}, target: descriptorOf('x')});
	await house.collect();
	t.deepEqual(house.events.envelopes.slice(-2).map(({topic}) => topic).toSorted(), ['/images/delete', '/snapshot/remove']);
});
