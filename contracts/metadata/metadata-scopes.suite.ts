import type {TestFn} from 'ava';
import {digestOf, descriptorOf, hasContent, put, snapshotterOf, storiesOf} from './metadata-story.suite.ts';
import type {MetadataSubject} from './metadata.suite.ts';

/** What namespaces share and what they do not; leases. */
export function scopesSuite(test: TestFn, subject: MetadataSubject): void {
	const story = storiesOf(test, subject);

	story('content of one namespace is not there in another, until that one commits it', async (t, metadata) => {
		const one = metadata.scope({namespace: 'one'});
		const two = metadata.scope({namespace: 'two'});
		const digest = await put(one, 'text', {a: '1'});
		t.false(await hasContent(two, digest));
		await t.throwsAsync(two.content.open(digest), {code: 'NOT_FOUND'});
		t.is(await put(two, 'text', {b: '2'}), digest);
		t.deepEqual([(await one.content.info(digest)).labels, (await two.content.info(digest)).labels], [{a: '1'}, {b: '2'}]);
		await one.content.delete(digest);
		t.is((await two.content.info(digest)).size, 4);
	});

	story('refs of one namespace do not meet those of another', async (t, metadata) => {
		const one = metadata.scope({namespace: 'one'}).content;
		const two = metadata.scope({namespace: 'two'}).content;
		await using first = await one.writer({ref: 'same'});
		await using second = await two.writer({ref: 'same'});
		await first.write(Buffer.from('a'));
		await second.write(Buffer.from('bb'));
		t.is((await one.status('same')).offset, 1);
		t.is((await two.status('same')).offset, 2);
		t.deepEqual((await one.statuses()).map(({ref}) => ref), ['same']);
		await t.throwsAsync(one.writer({ref: 'same'}), {code: 'UNAVAILABLE'});
	});

	story('snapshots of one namespace are not there in another', async (t, metadata) => {
		const {snapshots: one} = snapshotterOf(metadata, metadata.scope({namespace: 'one'}));
		const {snapshots: two} = snapshotterOf(metadata, metadata.scope({namespace: 'two'}));
		await one.prepare('key', '');
		await two.prepare('key', '');
		await one.commit('name', 'key');
		await t.throwsAsync(two.prepare('child', 'name'), {code: 'NOT_FOUND'});
		t.is((await two.stat('key')).kind, 'active');
		t.deepEqual((await Array.fromAsync(one.list())).map(({name}) => name), ['name']);
	});

	story('a snapshotter that is not loaded is refused', async (t, metadata) => {
		t.throws(() => metadata.scope({namespace: 'one'}).snapshotter('nobody'), {code: 'INVALID_ARGUMENT'});
	});

	story('what is there already answers so, and is leased', async (t, metadata) => {
		const plain = metadata.scope({namespace: 'one'});
		const {name, snapshots} = snapshotterOf(metadata, plain);
		const digest = await put(plain, 'text');
		await snapshots.prepare('key', '');
		await plain.leases.create({id: 'lease', labels: {}});
		const leased = metadata.scope({namespace: 'one', lease: 'lease'});
		await t.throwsAsync(leased.content.writer({ref: 'r', expected: digest}), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(leased.snapshotter(name).prepare('key', ''), {code: 'ALREADY_EXISTS'});
		t.deepEqual(await plain.leases.resources('lease'), [{type: 'content', id: digest}, {type: `snapshots/${name}`, id: 'key'}]);
	});

	story('those of many blobs that are here are told with their labels, and leased at once', async (t, metadata) => {
		const plain = metadata.scope({namespace: 'one'});
		const one = await put(plain, 'one', {a: '1'});
		const two = await put(plain, 'two');
		const elsewhere = await put(metadata.scope({namespace: 'two'}), 'elsewhere');
		await plain.leases.create({id: 'lease', labels: {}});
		const {content} = metadata.scope({namespace: 'one', lease: 'lease'});
		const kept = await content.keep([two, digestOf('nowhere'), elsewhere, one, one]);
		t.deepEqual(kept, new Map([[two, await plain.content.info(two)], [one, await plain.content.info(one)]]));
		t.deepEqual(kept.get(one)?.labels, {a: '1'});
		t.deepEqual((await plain.leases.resources('lease')).map(({id}) => id).toSorted(), [one, two].toSorted());
		t.is((await content.keep([elsewhere])).size, 0);
		await t.throwsAsync(metadata.scope({namespace: 'one', lease: 'nobody'}).content.keep([one]), {code: 'NOT_FOUND'});
	});

	story('a target that is there answers so, and is leased', async (t, metadata) => {
		const plain = metadata.scope({namespace: 'one'});
		const {name, snapshots} = snapshotterOf(metadata, plain);
		await snapshots.prepare('key', '');
		await snapshots.commit('chain', 'key');
		await plain.leases.create({id: 'lease', labels: {}});
		const leased = metadata.scope({namespace: 'one', lease: 'lease'}).snapshotter(name);
		await t.throwsAsync(leased.prepare('other', '', {labels: {'containerd.io/snapshot.ref': 'chain'}}), {code: 'ALREADY_EXISTS'});
		t.deepEqual(await plain.leases.resources('lease'), [{type: `snapshots/${name}`, id: 'chain'}]);
	});

	story('whatever a scope with a lease makes is in the lease', async (t, metadata) => {
		const plain = metadata.scope({namespace: 'one'});
		await plain.leases.create({id: 'lease', labels: {}});
		const scope = metadata.scope({namespace: 'one', lease: 'lease'});
		const {name, snapshots} = snapshotterOf(metadata, scope);
		const digest = await put(scope, 'text');
		await using writer = await scope.content.writer({ref: 'begun'});
		await writer.write(Buffer.from('x'));
		await scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')});
		await snapshots.prepare('key', '');
		await snapshots.commit('name', 'key');
		const made = (await plain.leases.resources('lease')).map(({type, id}) => `${type} ${id}`).toSorted();
		t.deepEqual(made, [`content ${digest}`, 'images i', 'ingests begun', `snapshots/${name} name`].toSorted());
	});

	story('nothing is made under a lease that is not there', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'one', lease: 'nobody'});
		const {snapshots} = snapshotterOf(metadata, scope);
		await t.throwsAsync(scope.content.writer({ref: 'r'}), {code: 'NOT_FOUND'});
		await t.throwsAsync(snapshots.prepare('key', ''), {code: 'NOT_FOUND'});
		await t.throwsAsync(scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')}), {code: 'NOT_FOUND'});
		t.deepEqual(await scope.content.statuses(), []);
		t.deepEqual(await scope.images.list(), []);
		await t.throwsAsync(snapshots.stat('key'), {code: 'NOT_FOUND'});
	});

	story('a lease is made, named when it has no name, listed and deleted', async (t, metadata) => {
		const {leases} = metadata.scope({namespace: 'one'});
		const named = await leases.create({id: 'a', labels: {l: 'v'}});
		const unnamed = await leases.create({id: '', labels: {}});
		t.not(unnamed.id, '');
		t.deepEqual(await leases.list(['labels.l==v']), [named]);
		t.is((await leases.list()).length, 2);
		t.deepEqual(await metadata.scope({namespace: 'two'}).leases.list(), []);
		await t.throwsAsync(leases.create({id: 'a', labels: {}}), {code: 'ALREADY_EXISTS'});
		await leases.delete('a', {sync: true});
		await t.throwsAsync(leases.delete('a'), {code: 'NOT_FOUND'});
	});

	story('resources are put into a lease and taken out of it', async (t, metadata) => {
		const {leases} = metadata.scope({namespace: 'one'});
		await leases.create({id: 'a', labels: {}});
		const content = {type: 'content', id: digestOf('x')};
		await leases.add('a', content);
		await leases.add('a', content);
		await leases.add('a', {type: 'snapshots/overlayfs', id: 'with/slash'});
		t.deepEqual(await leases.resources('a'), [content, {type: 'snapshots/overlayfs', id: 'with/slash'}]);
		await leases.remove('a', content);
		t.deepEqual(await leases.resources('a'), [{type: 'snapshots/overlayfs', id: 'with/slash'}]);
		await t.throwsAsync(leases.add('b', content), {code: 'NOT_FOUND'});
		await t.throwsAsync(leases.remove('b', content), {code: 'NOT_FOUND'});
		await t.throwsAsync(leases.resources('b'), {code: 'NOT_FOUND'});
		await t.throwsAsync(leases.add('a', {type: 'content', id: 'sha256:x'}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(leases.add('a', {type: 'snapshots', id: 'x'}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(leases.add('a', {type: 'anything', id: 'x'}), {code: 'UNIMPLEMENTED'});
	});
}
