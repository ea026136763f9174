import type {TestFn} from 'ava';
import {containerOf, descriptorOf, put, storiesOf, snapshotterOf} from './metadata-story.suite.ts';
import type {MetadataSubject} from './metadata.suite.ts';

/** Namespaces, images, containers, sandboxes: records and their masks. */
export function recordsSuite(test: TestFn, subject: MetadataSubject): void {
	const story = storiesOf(test, subject);

	story('a namespace is there once it is made or used, and by name in the list', async (t, metadata) => {
		await metadata.namespaces.create({name: 'made', labels: {a: '1'}});
		await metadata.scope({namespace: 'a-used-one'}).images.create({name: 'i', labels: {}, target: descriptorOf('x')});
		t.deepEqual(await metadata.namespaces.list(), [{name: 'a-used-one', labels: {}}, {name: 'made', labels: {a: '1'}}]);
		t.deepEqual(await metadata.namespaces.get('made'), {name: 'made', labels: {a: '1'}});
		await t.throwsAsync(metadata.namespaces.create({name: 'made', labels: {}}), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(metadata.namespaces.get('other'), {code: 'NOT_FOUND'});
	});

	story('a bad name or too long a label is refused', async (t, metadata) => {
		await t.throwsAsync(metadata.namespaces.create({name: '../x', labels: {}}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(metadata.namespaces.create({name: 'x', labels: {a: 'b'.repeat(4096)}}), {code: 'INVALID_ARGUMENT'});
		t.throws(() => metadata.scope({namespace: 'a/b'}), {code: 'INVALID_ARGUMENT'});
		t.throws(() => metadata.scope({namespace: ''}), {code: 'INVALID_ARGUMENT'});
		t.deepEqual(await metadata.namespaces.list(), []);
	});

	story('a label of 4096 bytes, key and value together, is the longest that anything has', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const {images, containers, leases, content} = scope;
		const {snapshots} = snapshotterOf(metadata, scope);
		const [longest, longer] = [{a: 'b'.repeat(4095)}, {ä: 'b'.repeat(4095)}];
		const refused = async (call: Promise<unknown>, what: string): Promise<void> => {
			await t.throwsAsync(call, {code: 'INVALID_ARGUMENT', message: /4097/}, what);
		};
		const image = {name: 'i', target: descriptorOf('x')};
		await refused(images.create({...image, labels: longer}), 'an image');
		await images.create({...image, labels: longest});
		await refused(images.update({...image, labels: longer}, ['labels']), 'an image\'s update');
		await refused(containers.create({...containerOf('c'), labels: longer}), 'a container');
		await containers.create({...containerOf('c'), labels: longest});
		await refused(containers.update({...containerOf('c'), labels: longer}, ['labels.ä']), 'a container\'s update');
		await refused(leases.create({id: 'l', labels: longer}), 'a lease');
		await leases.create({id: 'l', labels: longest});
		await refused(snapshots.prepare('s', '', {labels: longer}), 'a snapshot');
		await snapshots.prepare('s', '', {labels: longest});
		await refused(snapshots.update('s', longer, []), 'a snapshot\'s update');
		await refused(snapshots.commit('name', 's', {labels: longer}), 'a commit');
		await using writer = await content.writer({ref: 'r'});
		await writer.write(Buffer.from('abc'));
		await refused(writer.commit({labels: longer}), 'a blob');
		t.deepEqual([(await images.get('i')).labels, (await containers.get('c')).labels, (await snapshots.stat('s')).labels], [longest, longest, longest]);
		t.deepEqual((await leases.list()).map(({labels}) => labels), [longest]);
	});

	story('labels of a namespace are replaced, or one by one, and an empty value removes', async (t, {namespaces}) => {
		await namespaces.create({name: 'n', labels: {a: '1', b: '2'}});
		t.deepEqual((await namespaces.update({name: 'n', labels: {a: '3', b: 'x', c: '4'}}, ['labels.a', 'labels.c'])).labels, {a: '3', b: '2', c: '4'});
		t.deepEqual((await namespaces.update({name: 'n', labels: {a: ''}}, ['labels.a'])).labels, {b: '2', c: '4'});
		t.deepEqual((await namespaces.update({name: 'n', labels: {d: '5'}}, [])).labels, {d: '5'});
		await t.throwsAsync(namespaces.update({name: 'n', labels: {}}, ['name']), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(namespaces.update({name: 'm', labels: {}}, []), {code: 'NOT_FOUND'});
	});

	story('a namespace that holds anything is not deleted, and says what it holds', async (t, metadata) => {
		const scope = metadata.scope({namespace: 'n'});
		const {name, snapshots} = snapshotterOf(metadata, scope);
		await put(scope, 'blob');
		await scope.images.create({name: 'i', labels: {}, target: descriptorOf('x')});
		await scope.containers.create(containerOf('c'));
		await snapshots.prepare('s', '');
		const error = await t.throwsAsync(metadata.namespaces.delete('n'), {code: 'FAILED_PRECONDITION'});
		for (const what of ['images', 'blobs', 'containers', 'snapshots', name]) {
			t.regex(error?.message ?? '', new RegExp(what));
		}
		await scope.images.delete('i');
		await scope.containers.delete('c');
		await snapshots.remove('s');
		await metadata.collect();
		await metadata.namespaces.delete('n');
		await t.throwsAsync(metadata.namespaces.delete('n'), {code: 'NOT_FOUND'});
	});

	story('an image is as it was made, in its own namespace alone', async (t, metadata) => {
		const {images} = metadata.scope({namespace: 'n'});
		const target = {...descriptorOf('x'), annotations: {a: '1'}, platform: {os: 'linux', architecture: 'amd64', variant: ''}};
		const createdAt = new Date(1_700_000_000_000);
		const made = await images.create({name: 'docker.io/library/i:1', labels: {l: 'v'}, target}, {createdAt});
		t.deepEqual(made, {name: 'docker.io/library/i:1', labels: {l: 'v'}, target, createdAt, updatedAt: createdAt});
		t.deepEqual(await images.get(made.name), made);
		t.deepEqual(await images.list(), [made]);
		t.deepEqual(await metadata.scope({namespace: 'm'}).images.list(), []);
		await t.throwsAsync(images.create(made), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(images.get('other'), {code: 'NOT_FOUND'});
	});

	story('an image needs a name and a whole target', async (t, metadata) => {
		const {images} = metadata.scope({namespace: 'n'});
		const target = descriptorOf('x');
		await t.throwsAsync(images.create({name: '', labels: {}, target}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(images.create({name: 'i', labels: {}, target: {...target, mediaType: ''}}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(images.create({name: 'i', labels: {}, target: {...target, size: 0}}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(images.create({name: 'i', labels: {}, target: {...target, digest: 'sha256:../..'}}), {code: 'INVALID_ARGUMENT'});
		t.deepEqual(await images.list(), []);
	});

	story('a mask says what of an image changes', async (t, metadata) => {
		const {images} = metadata.scope({namespace: 'n'});
		const name = 'i';
		const old = {...descriptorOf('x'), annotations: {a: '1', b: '2'}};
		await images.create({name, labels: {a: '1', b: '2'}, target: old});
		const target = {...descriptorOf('y'), annotations: {b: '3'}};
		const given = {name, labels: {b: '3'}, target};
		t.deepEqual((await images.update(given, ['labels.b'])).labels, {a: '1', b: '3'});
		t.deepEqual((await images.update(given, ['annotations.b'])).target, {...old, annotations: {a: '1', b: '3'}});
		t.deepEqual((await images.update(given, ['target'])).labels, {a: '1', b: '3'});
		t.deepEqual((await images.get(name)).target, target);
		t.deepEqual((await images.update(given, [])).labels, {b: '3'});
		t.deepEqual((await images.update({name, labels: {c: '4'}}, ['labels.c'])).labels, {b: '3', c: '4'});
		await t.throwsAsync(images.update({name, labels: {}}, []), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(images.update(given, ['name']), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(images.update({...given, name: 'other'}, []), {code: 'NOT_FOUND'});
	});

	story('images are filtered by name, target, labels and annotations', async (t, metadata) => {
		const {images} = metadata.scope({namespace: 'n'});
		await images.create({name: 'one', labels: {'a.b/c': 'x'}, target: {...descriptorOf('x'), annotations: {k: 'v'}}});
		await images.create({name: 'two', labels: {}, target: {...descriptorOf('y'), mediaType: 'application/json'}});
		const names = async (...filters: string[]): Promise<readonly string[]> => (await images.list(filters)).map(({name}) => name);
		t.deepEqual(await names(), ['one', 'two']);
		t.deepEqual(await names('name==one', 'name~=^t'), ['one', 'two']);
		t.deepEqual(await names('labels."a.b/c"==x'), ['one']);
		t.deepEqual(await names('annotations.k'), ['one']);
		t.deepEqual(await names('target.mediatype~=json,name!=one'), ['two']);
		t.deepEqual(await names(`target.digest==${descriptorOf('y').digest}`), ['two']);
		await t.throwsAsync(images.list(['name=one']), {code: 'INVALID_ARGUMENT'});
	});

	story('an image is deleted only while it has the target that is named', async (t, metadata) => {
		const {images} = metadata.scope({namespace: 'n'});
		await images.create({name: 'i', labels: {}, target: descriptorOf('x')});
		await t.throwsAsync(images.delete('i', {target: descriptorOf('y')}), {code: 'NOT_FOUND'});
		await images.delete('i', {target: descriptorOf('x')});
		await t.throwsAsync(images.delete('i'), {code: 'NOT_FOUND'});
	});

	story('a container comes back byte for byte', async (t, metadata) => {
		const {containers} = metadata.scope({namespace: 'n'});
		const record = containerOf('c', {
			labels: {l: 'v'}, image: 'i', snapshotter: 's', snapshotKey: 'k', sandbox: 'b',
			runtime: {name: 'r', options: {typeUrl: 'o', value: Uint8Array.of(0, 255, 1)}},
			spec: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Uint8Array.of(123, 0, 125)},
			extensions: {x: {typeUrl: 'e', value: Uint8Array.of(9, 0)}},
		});
		const {createdAt, updatedAt, ...made} = await containers.create(record);
		t.deepEqual(made, record);
		t.deepEqual(createdAt, updatedAt);
		t.deepEqual(await containers.list(['runtime.name==r,image==i,labels.l==v,id==c']), [{...record, createdAt, updatedAt}]);
		t.deepEqual(await containers.list(['runtime.name==q']), []);
		await t.throwsAsync(containers.create(record), {code: 'ALREADY_EXISTS'});
	});

	story('a container needs an id, a runtime, a spec, and a snapshotter for its snapshot', async (t, metadata) => {
		const {containers} = metadata.scope({namespace: 'n'});
		const {spec: _, ...bare} = containerOf('c');
		for (const wrong of [containerOf('a/b'), containerOf('a'.repeat(77)), containerOf('c', {runtime: {name: ''}}), bare, containerOf('c', {snapshotKey: 'k'})]) {
			await t.throwsAsync(containers.create(wrong), {code: 'INVALID_ARGUMENT'});
		}
		t.deepEqual(await containers.list(), []);
	});

	story('a mask says what of a container changes; its runtime and snapshotter never do', async (t, metadata) => {
		const {containers} = metadata.scope({namespace: 'n'});
		await containers.create(containerOf('c', {labels: {a: '1', b: '2'}, snapshotter: 's', snapshotKey: 'k'}));
		const given = containerOf('c', {
			labels: {b: '3'}, snapshotter: 's', snapshotKey: 'l', image: 'j', spec: {typeUrl: 't', value: Uint8Array.of(1)},
			extensions: {x: {typeUrl: 'e', value: Uint8Array.of(1)}, y: {typeUrl: 'e', value: Uint8Array.of(2)}},
		});
		const partly = await containers.update(given, ['labels.b', 'extensions.x', 'image']);
		t.deepEqual([partly.labels, Object.keys(partly.extensions), partly.image, partly.snapshotKey], [{a: '1', b: '3'}, ['x'], 'j', 'k']);
		const {createdAt: _, updatedAt: __, ...whole} = await containers.update(given, []);
		t.deepEqual(whole, given);
		await t.throwsAsync(containers.update(given, ['runtime']), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(containers.update({...given, runtime: {name: 'other'}}, []), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(containers.update({...given, snapshotter: 'other'}, []), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(containers.update(containerOf('d'), []), {code: 'NOT_FOUND'});
		await containers.delete('c');
		await t.throwsAsync(containers.delete('c'), {code: 'NOT_FOUND'});
		await t.throwsAsync(containers.get('c'), {code: 'NOT_FOUND'});
	});

	if (subject.supports.sandboxes) {
		story('a sandbox is kept as it is given', async (t, metadata) => {
			const {sandboxes} = metadata.scope({namespace: 'n'});
			const record = {id: 's', runtime: {name: 'r'}, spec: {typeUrl: 't', value: Uint8Array.of(1)}, labels: {a: '1'}, extensions: {}, sandboxer: 'shim'};
			const {createdAt: _, updatedAt: __, ...made} = await sandboxes.create(record);
			t.deepEqual(made, record);
			t.deepEqual((await sandboxes.update({...record, labels: {b: '2'}}, ['labels.b'])).labels, {a: '1', b: '2'});
			await t.throwsAsync(sandboxes.create(record), {code: 'ALREADY_EXISTS'});
			await t.throwsAsync(sandboxes.update(record, ['sandboxer']), {code: 'INVALID_ARGUMENT'});
			await sandboxes.delete('s');
			await t.throwsAsync(sandboxes.get('s'), {code: 'NOT_FOUND'});
		});

		story('a mask says what changes of a sandbox; without one all does but the runtime\'s name', async (t, metadata) => {
			const {sandboxes} = metadata.scope({namespace: 'n'});
			const any = (typeUrl: string) => ({typeUrl, value: Uint8Array.of(0, 255)});
			const record = {id: 's', runtime: {name: 'r', options: any('o')}, spec: any('t'), labels: {a: '1'}, extensions: {x: any('x'), y: any('y')}, sandboxer: 'shim'};
			const given = {id: 's', runtime: {name: 'q', options: any('p')}, spec: any('u'), labels: {a: '2'}, extensions: {x: any('z')}, sandboxer: 'other'};
			await sandboxes.create(record);
			const update = async (fields: readonly string[], change: object = {}) => {
				const {createdAt: _, updatedAt: __, ...next} = await sandboxes.update({...given, ...change}, fields);
				return next;
			};
			t.deepEqual(await update(['spec']), {...record, spec: any('u')});
			t.deepEqual((await update(['extensions.x'])).extensions, {x: any('z'), y: any('y')});
			t.deepEqual((await update(['extensions'])).extensions, {x: any('z')});
			t.deepEqual(await update(['runtime']), {...record, spec: any('u'), extensions: {x: any('z')}, runtime: given.runtime});
			t.deepEqual(await update(['spec', 'labels'], {spec: any('v')}), {...given, spec: any('v'), sandboxer: 'shim'});
			t.deepEqual(await update([], {runtime: {name: 'q'}, spec: any('w'), labels: {}, extensions: {}}), {id: 's', runtime: {name: 'q'}, spec: any('w'), labels: {}, extensions: {}, sandboxer: 'shim'});
			await t.throwsAsync(sandboxes.update({...given, runtime: {name: 'other'}}, []), {code: 'INVALID_ARGUMENT'});
			await t.throwsAsync(sandboxes.update({...given, id: 'nobody'}, ['labels']), {code: 'NOT_FOUND'});
		});

		story('sandboxes are filtered by id, runtime, sandboxer and labels', async (t, metadata) => {
			const {sandboxes} = metadata.scope({namespace: 'n'});
			await sandboxes.create({id: 'one', runtime: {name: 'io.one'}, labels: {kind: 'x'}, extensions: {}, sandboxer: 'shim'});
			await sandboxes.create({id: 'two', runtime: {name: 'io.two'}, labels: {}, extensions: {}, sandboxer: 'other'});
			const ids = async (...filters: string[]): Promise<readonly string[]> => (await sandboxes.list(filters)).map(({id}) => id);
			t.deepEqual(await ids(), ['one', 'two']);
			t.deepEqual(await ids('id==one'), ['one']);
			t.deepEqual(await ids('runtime.name==io.two'), ['two']);
			t.deepEqual(await ids('sandboxer==shim'), ['one']);
			t.deepEqual(await ids('labels.kind==x', 'id==two'), ['one', 'two']);
			t.deepEqual(await ids('labels.kind,id==two'), []);
			await t.throwsAsync(sandboxes.list(['id=one']), {code: 'INVALID_ARGUMENT'});
		});
	}
}
