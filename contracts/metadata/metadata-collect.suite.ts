import type {TestFn} from 'ava';
import type {CollectibleItem, CollectibleResource} from './collectible.ts';
import {containerOf, descriptorOf, digestOf, hasContent, put, snapshotterOf, storiesOf} from './metadata-story.suite.ts';
import type {MetadataSubject} from './metadata.suite.ts';

const past = new Date(Date.now() - 60_000).toISOString();
const future = new Date(Date.now() + 3_600_000).toISOString();

/** What goes and what stays. */
export function collectSuite(test: TestFn, subject: MetadataSubject): void {
	const story = storiesOf(test, subject);

	story('what an image reaches stays, and goes when the image does', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const {name, snapshots} = snapshotterOf(metadata, scope);
		await snapshots.prepare('a', '');
		await snapshots.commit('base', 'a');
		await snapshots.prepare('b', 'base');
		await snapshots.commit('top', 'b');
		const layer = await put(scope, 'layer');
		const config = await put(scope, 'config', {[`containerd.io/gc.ref.snapshot.${name}`]: 'top'});
		const manifest = await put(scope, 'manifest', {'containerd.io/gc.ref.content.0': layer, 'containerd.io/gc.ref.content.config': config});
		const stray = await put(scope, 'stray');
		await scope.images.create({name: 'i', labels: {}, target: descriptorOf('manifest')});
		t.like(await metadata.collect(), {removedContent: 1, removedSnapshots: 0});
		t.false(await hasContent(scope, stray));
		t.true(await hasContent(scope, layer));
		t.is((await snapshots.stat('base')).kind, 'committed');

		await scope.images.delete('i', {sync: true});
		for (const digest of [layer, config, manifest]) {
			t.false(await hasContent(scope, digest));
		}
		await t.throwsAsync(snapshots.stat('base'), {code: 'NOT_FOUND'});
		await t.throwsAsync(snapshots.stat('top'), {code: 'NOT_FOUND'});
	});

	story('a container keeps its snapshot and that one its parents', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const {name, snapshots} = snapshotterOf(metadata, scope);
		await snapshots.prepare('a', '');
		await snapshots.commit('base', 'a');
		await snapshots.prepare('rootfs', 'base');
		await scope.containers.create(containerOf('c', {snapshotter: name, snapshotKey: 'rootfs'}));
		t.like(await metadata.collect(), {removedSnapshots: 0});
		await scope.containers.delete('c');
		t.like(await metadata.collect(), {removedSnapshots: 2});
	});

	story('a lease keeps what it has until it is deleted or expires', async (t, metadata) => {
		const plain = metadata.scope({namespace: 'n'});
		await plain.leases.create({id: 'long', labels: {'containerd.io/gc.expire': future}});
		await plain.leases.create({id: 'over', labels: {'containerd.io/gc.expire': past}});
		await plain.leases.create({id: 'odd', labels: {'containerd.io/gc.expire': 'whenever'}});
		const kept = await put(metadata.scope({namespace: 'n', lease: 'long'}), 'kept');
		const odd = await put(metadata.scope({namespace: 'n', lease: 'odd'}), 'odd');
		const gone = await put(metadata.scope({namespace: 'n', lease: 'over'}), 'gone');
		t.like(await metadata.collect(), {removedContent: 1, removedLeases: 1});
		t.deepEqual([await hasContent(plain, kept), await hasContent(plain, odd), await hasContent(plain, gone)], [true, true, false]);
		await plain.leases.delete('long', {sync: true});
		t.false(await hasContent(plain, kept));
	});

	story('a flat lease does not follow labels, an ordinary one does', async (t, metadata) => {
		const plain = metadata.scope({namespace: 'n'});
		const below = await put(plain, 'below');
		const besides = await put(plain, 'besides');
		await plain.leases.create({id: 'flat', labels: {'containerd.io/gc.flat': future}});
		await plain.leases.create({id: 'deep', labels: {}});
		const flat = await put(metadata.scope({namespace: 'n', lease: 'flat'}), 'flat', {'containerd.io/gc.ref.content': below});
		const deep = await put(metadata.scope({namespace: 'n', lease: 'deep'}), 'deep', {'containerd.io/gc.ref.content': besides});
		await metadata.collect();
		t.deepEqual(await Promise.all([flat, deep, besides, below].map(async digest => hasContent(plain, digest))), [true, true, true, false]);
	});

	story('labels make roots, for good or for a time', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const root = await put(scope, 'root', {'containerd.io/gc.root': 'yes'});
		const lasting = await put(scope, 'lasting', {'containerd.io/gc.expire': future});
		const over = await put(scope, 'over', {'containerd.io/gc.expire': past});
		await scope.images.create({name: 'old', labels: {'containerd.io/gc.expire': past}, target: descriptorOf('x')});
		await scope.images.create({name: 'referred', labels: {'containerd.io/gc.expire': past}, target: descriptorOf('x')});
		await scope.images.create({name: 'new', labels: {'containerd.io/gc.ref.image': 'referred'}, target: descriptorOf('x')});
		const {nextExpiry} = await metadata.collect();
		t.deepEqual(await Promise.all([root, lasting, over].map(async digest => hasContent(scope, digest))), [true, true, false]);
		t.deepEqual((await scope.images.list()).map(({name}) => name), ['new', 'referred']);
		t.deepEqual(nextExpiry, new Date(future));
	});

	story('a back reference keeps what says it, as long as what it names lives', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const {name, snapshots} = snapshotterOf(metadata, scope);
		const attached = await put(scope, 'attached', {'containerd.io/gc.bref.image': 'i'});
		const deeper = await put(scope, 'deeper', {'containerd.io/gc.bref.content.x': attached});
		await snapshots.prepare('s', '', {labels: {'containerd.io/gc.bref.container': 'c'}});
		const onSnapshot = await put(scope, 'on-snapshot', {[`containerd.io/gc.bref.snapshot.${name}`]: 's'});
		await scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')});
		await scope.containers.create(containerOf('c'));
		t.like(await metadata.collect(), {removedContent: 0, removedSnapshots: 0});
		await scope.images.delete('i');
		await scope.containers.delete('c');
		t.like(await metadata.collect(), {removedContent: 3, removedSnapshots: 1});
		t.deepEqual(await Promise.all([attached, deeper, onSnapshot].map(async digest => hasContent(scope, digest))), [false, false, false]);
	});

	story('circles do not keep themselves alive', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		await put(scope, 'a', {'containerd.io/gc.ref.content': digestOf('b')});
		await put(scope, 'b', {'containerd.io/gc.ref.content': digestOf('a')});
		t.like(await metadata.collect(), {removedContent: 2});
	});

	story('an ingest that was begun is not collected, nor what it expects', async (t, metadata) => {
		const {content} = metadata.scope({namespace: 'n'});
		{
			await using writer = await content.writer({ref: 'r'});
			await writer.write(Buffer.from('half'));
		}
		t.like(await metadata.collect(), {removedIngests: 0});
		t.is((await content.status('r')).offset, 4);
	});

	story('an ingest that a lease holds stays as long as the lease', async (t, metadata) => {
		const {leases} = metadata.scope({namespace: 'n'});
		await leases.create({id: 'l', labels: {}});
		const {content} = metadata.scope({namespace: 'n', lease: 'l'});
		{
			await using writer = await content.writer({ref: 'r'});
			await writer.write(Buffer.from('half'));
			await leases.delete('l');
			t.like(await metadata.collect(), {removedIngests: 0}, 'a writer holds it too');
			await leases.create({id: 'l', labels: {}});
			await leases.add('l', {type: 'ingests', id: 'r'});
		}
		t.like(await metadata.collect(), {removedIngests: 0});
		await leases.delete('l');
		t.like(await metadata.collect(), {removedIngests: 1});
		await t.throwsAsync(content.status('r'), {code: 'NOT_FOUND'});
	});

	story('labels reach no further than their namespace', async (t, metadata) => {
		const one = metadata.scope({namespace: 'one'});
		const two = metadata.scope({namespace: 'two'});
		const digest = await put(one, 'text');
		await put(two, 'text');
		await two.images.create({name: 'i', labels: {}, target: descriptorOf('text')});
		t.like(await metadata.collect(), {removedContent: 1});
		t.false(await hasContent(one, digest));
		await using reader = await two.content.open(digest);
		t.is(Buffer.concat(await Array.fromAsync(reader.read())).toString(), 'text');
	});

	story('whoever watches is told of changes, and which of them took something away', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const told: boolean[] = [];
		{
			using _watch = metadata.watch(({hasDeleted, hasCollected}) => told.push(hasCollected ?? hasDeleted));
			await scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')});
			await scope.images.delete('i');
			await metadata.collect();
		}
		await scope.leases.create({id: 'unheard', labels: {}});
		t.deepEqual(told, [false, true, true]);
	});

	story('collections that are asked for at once all end', async (t, metadata) => {
		await put(metadata.scope({namespace: 'n'}), 'stray');
		const results = await Promise.all([metadata.collect(), metadata.collect(), metadata.collect()]);
		t.is(results.reduce((sum, {removedContent}) => sum + removedContent, 0) > 0, true);
		await t.throwsAsync(metadata.collect(AbortSignal.abort(new Error('enough'))), {message: 'enough'});
	});

	story('what others keep is collected too, unless a lease, a back reference, a reference or a label of its own keeps it', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const room = new Room();
		room.keep('stray');
		room.keep('of-a-lease', {lease: 'l'});
		room.keep('of-no-lease', {lease: 'gone'});
		room.keep('of-a-container', {labels: {'containerd.io/gc.bref.container': 'c'}});
		room.keep('of-an-image', {labels: {'containerd.io/gc.bref.image.x': 'i'}});
		room.keep('referred');
		room.keep('root', {labels: {'containerd.io/gc.root': 'yes'}});
		room.keep('lasting', {labels: {'containerd.io/gc.expire': future}});
		room.keep('over', {labels: {'containerd.io/gc.expire': past}});
		await scope.leases.create({id: 'l', labels: {'containerd.io/gc.flat': future}});
		await scope.containers.create(containerOf('c', {labels: {'containerd.io/gc.ref.mount.0': 'referred'}}));
		await scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')});
		using registration = metadata.register(room);
		await metadata.collect();
		t.deepEqual(room.names(), ['lasting', 'of-a-container', 'of-a-lease', 'of-an-image', 'referred', 'root']);
		await scope.images.delete('i');
		await scope.containers.delete('c');
		await scope.leases.delete('l', {sync: true});
		t.deepEqual(room.names(), ['lasting', 'root'], 'a synchronous deletion is answered when it is gone');
		registration[Symbol.dispose]();
		room.keep('stray');
		await metadata.collect();
		t.deepEqual(room.names(), ['lasting', 'root', 'stray']);
	});

	story('what others keep stays when it is referred to while a collection runs', async (t, metadata) => {
		const {containers} = metadata.scope({namespace: 'n'});
		const room = new Room();
		room.keep('mine', {labels: {'containerd.io/gc.bref.container': 'c'}});
		using _registration = metadata.register(room);
		const collection = metadata.collect();
		room.keep('new');
		await containers.create(containerOf('c'));
		await collection;
		t.deepEqual(room.names(), ['mine', 'new']);
	});
}

/** Keeps names. */
class Room implements CollectibleResource {
	readonly kind = 'mount';
	readonly #items = new Map<string, CollectibleItem>();
	readonly #condemned = new Set<string>();

	keep(id: string, {labels = {}, lease}: Partial<Pick<CollectibleItem, 'labels' | 'lease'>> = {}): void {
		this.#items.set(id, {namespace: 'n', id, labels, lease, condemn: () => this.#condemned.add(id)});
	}

	names(): readonly string[] {
		return [...this.#items.keys()].toSorted();
	}

	list(): readonly CollectibleItem[] {
		return [...this.#items.values()];
	}

	async sweep(): Promise<void> {
		this.#condemned.forEach(id => this.#items.delete(id));
		this.#condemned.clear();
	}
}
