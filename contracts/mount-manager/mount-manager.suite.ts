import type {ExecutionContext, TestFn} from 'ava';
import type {CollectibleResource} from '../metadata/collectible.ts';
import type {Mount} from '../oci/mount.ts';
import type {Activations, MountManager} from './mount-manager.ts';

/** What a test needs around a mount manager. */
export interface MountStage extends AsyncDisposable {
	readonly manager: MountManager & CollectibleResource;
	/** A mount that works wherever it is performed, and two of which are different. */
	mount(): Promise<Mount>;
	/** One that cannot be performed. */
	readonly broken: Mount;
	/** A file for the type `loop`. */
	image(): Promise<string>;
	/** Makes a lease in the namespace `n`. */
	lease(id: string): Promise<void>;
	/** Keeps a mount point in use until disposed. */
	use(mountPoint: string): Disposable;
	/** Another manager in the same place, as after a restart of the daemon; the first is closed. */
	reopen(): Promise<MountManager & CollectibleResource>;
	/** Mounts, devices and directories that are there. */
	leftovers(): Promise<readonly string[]>;
}

export interface MountSubject {
	readonly name: string;
	open(): Promise<MountStage>;
}

const never = new AbortController().signal;

/** Every mount manager passes this. What its transformers make on disk is not in it. */
export function mountManagerSuite(test: TestFn, {name, open}: MountSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, stage: MountStage, activations: Activations) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using stage = await open();
			await tell(t, stage, stage.manager.activations({namespace: 'n'}));
		});
	};
	const templates = (...options: readonly string[]): Mount => ({type: 'format/overlay', source: 'overlay', target: '', options});

	story('what needs the manager is active, the rest is the runtime\'s, and templates are filled in', async (t, stage, activations) => {
		const [lower, upper] = [await stage.mount(), await stage.mount()];
		const made = await activations.activate({
			name: 'a', mounts: [lower, upper, templates('lowerdir={{ mount 0 }}', 'upperdir={{ mount 1 }}/u', 'of={{ source 1 }}', 'all={{overlay 1 0}}')], labels: {l: 'v'},
		});
		t.is(made.name, 'a');
		t.deepEqual(made.labels, {l: 'v'});
		t.deepEqual(made.active.map(({mount}) => mount), [lower, upper]);
		const [first = '', second = ''] = made.active.map(({mountPoint}) => mountPoint);
		t.true(first.startsWith('/') && second.startsWith('/') && first !== second);
		t.true(made.active.every(({mountedAt}) => mountedAt.getTime() > Date.now() - 60_000));
		t.deepEqual(made.system, [{type: 'overlay', source: 'overlay', target: '', options: [`lowerdir=${first}`, `upperdir=${second}/u`, `of=${upper.source}`, `all=${second}:${first}`]}]);
		t.deepEqual(await activations.info('a'), made);
		await activations.deactivate('a');
		t.deepEqual(await stage.leftovers(), []);
		await t.throwsAsync(activations.info('a'), {code: 'NOT_FOUND'});
		await t.throwsAsync(activations.deactivate('a'), {code: 'NOT_FOUND'});
	});

	story('mounts that every runtime can perform are left to it', async (t, stage, activations) => {
		const mounts = [await stage.mount(), {type: 'unknown/bind', source: '/', target: '', options: []}];
		await t.throwsAsync(activations.activate({name: 'a', mounts}), {code: 'UNIMPLEMENTED'});
		await t.throwsAsync(activations.activate({name: 'a', mounts: []}), {code: 'UNIMPLEMENTED'});
		t.deepEqual(await activations.list(), []);
	});

	story('of the type loop a device is made, at which a link points', async (t, stage, activations) => {
		const source = await stage.image();
		const after = await stage.mount();
		const {active, system} = await activations.activate({name: 'a', mounts: [{type: 'loop', source, target: '', options: []}, after]});
		t.is(active.length, 1);
		t.regex(active[0]?.data['device'] ?? '', /^\/dev\/loop\d+$/);
		t.deepEqual(system, [after], 'what comes after the last one is the runtime\'s');
		await activations.deactivate('a');
		t.deepEqual(await stage.leftovers(), []);
	});

	story('all of a temporary activation is performed, and bound', async (t, stage, activations) => {
		const mounts = [await stage.mount(), await stage.mount()];
		const {active, system} = await activations.activate({name: 'a', mounts, isTemporary: true});
		t.deepEqual(active.map(({mount}) => mount), mounts);
		t.deepEqual(system, [{type: 'bind', source: active[1]?.mountPoint, target: '', options: ['rbind']}]);
		await activations.deactivate('a');
	});

	story('a name is taken once in a namespace, and free again', async (t, stage, activations) => {
		const mounts = [await stage.mount()];
		const others = stage.manager.activations({namespace: 'm'});
		const results = await Promise.allSettled([1, 2, 3].map(async () => activations.activate({name: 'a', mounts, isTemporary: true})));
		t.is(results.filter(({status}) => status === 'fulfilled').length, 1);
		await t.throwsAsync(activations.activate({name: 'a', mounts, isTemporary: true}), {code: 'ALREADY_EXISTS', message: /"a"/});
		await others.activate({name: 'a', mounts, isTemporary: true});
		await activations.deactivate('a');
		await t.throwsAsync(activations.info('a'), {code: 'NOT_FOUND'});
		t.is((await others.info('a')).name, 'a');
		await activations.activate({name: 'a', mounts, isTemporary: true});
		await Promise.all([activations.deactivate('a'), others.deactivate('a')]);
		t.deepEqual(await stage.leftovers(), []);
	});

	story('an activation that fails half way leaves nothing', async (t, stage, activations) => {
		const image: Mount = {type: 'loop', source: await stage.image(), target: '', options: []};
		await t.throwsAsync(activations.activate({name: 'a', mounts: [await stage.mount(), image, stage.broken], isTemporary: true}));
		await t.throwsAsync(activations.activate({name: 'a', mounts: [image, templates('x={{ mount 1 }}')]}), {code: 'INVALID_ARGUMENT', message: /there is no active mount 1/});
		t.deepEqual(await stage.leftovers(), []);
		t.deepEqual(await activations.list(), []);
		await activations.activate({name: 'a', mounts: [image]});
		await activations.deactivate('a');
	});

	story('what is no name, no label, no template or too much is refused', async (t, stage, activations) => {
		const mount = await stage.mount();
		const refused = async (changes: Partial<Parameters<Activations['activate']>[0]>, message?: RegExp): Promise<void> => {
			await t.throwsAsync(activations.activate({name: 'a', mounts: [mount], isTemporary: true, ...changes}), {code: 'INVALID_ARGUMENT', ...(message === undefined ? {} : {message})});
		};
		await refused({name: ''});
		await refused({name: 'x'.repeat(5000)});
		await refused({labels: {a: 'b'.repeat(4096)}});
		await refused({mounts: Array.from({length: 256}, () => mount)}, /256 mounts/);
		for (const option of ['{{ mount }}', '{{ mount -1 }}', '{{ mount 0', '{{ mount 0 1 }}', '{{ overlay 0 }}', '{{ printf "x" }}', '{{ overlay 0 9 }}', '{{ mount 00000 }}']) {
			await refused({mounts: [mount, templates(option)], isTemporary: false}, /template/);
		}
		t.throws(() => stage.manager.activations({namespace: '../n'}), {code: 'INVALID_ARGUMENT'});
		t.deepEqual(await stage.leftovers(), []);
	});

	story('the list is by name, filtered by name and labels', async (t, stage, activations) => {
		for (const [one, labels] of [['b', {kind: 'x', 'with.dots': '1'}], ['a', {kind: 'y'}], ['c', {}]] as const) {
			await activations.activate({name: one, mounts: [await stage.mount()], labels: {...labels}, isTemporary: true});
		}
		const names = async (...filters: readonly string[]): Promise<readonly string[]> => (await activations.list(filters)).map(({name: one}) => one);
		t.deepEqual(await names(), ['a', 'b', 'c']);
		t.deepEqual(await names('name==b'), ['b']);
		t.deepEqual(await names('labels.kind==y', 'name==c'), ['a', 'c']);
		t.deepEqual(await names('labels."with.dots"==1'), ['b']);
		t.deepEqual(await names('labels.kind,name~=^b$'), ['b']);
		await t.throwsAsync(activations.list(['name==']), {code: 'INVALID_ARGUMENT'});
		await Promise.all(['a', 'b', 'c'].map(async one => activations.deactivate(one)));
	});

	story('what is in use is not deactivated, and is later', async (t, stage, activations) => {
		const made = await activations.activate({name: 'a', mounts: [await stage.mount(), await stage.mount()], isTemporary: true});
		const [below = '', above = ''] = made.active.map(({mountPoint}) => mountPoint);
		{
			using _use = stage.use(above);
			await t.throwsAsync(activations.deactivate('a'), {code: 'FAILED_PRECONDITION'});
			t.deepEqual(await activations.info('a'), made, 'nothing has changed');
		}
		{
			using _use = stage.use(below);
			await t.throwsAsync(activations.deactivate('a'), {code: 'FAILED_PRECONDITION'});
			await t.throwsAsync(activations.info('a'), {code: 'NOT_FOUND'}, 'half of it is gone');
			await t.throwsAsync(activations.activate({name: 'a', mounts: [await stage.mount()], isTemporary: true}), {code: 'FAILED_PRECONDITION'});
		}
		await activations.deactivate('a');
		t.deepEqual(await stage.leftovers(), []);
	});

	story('the next daemon knows what is active', async (t, stage, activations) => {
		const image: Mount = {type: 'loop', source: await stage.image(), target: '', options: []};
		const made = await activations.activate({name: 'a', mounts: [await stage.mount(), image, templates('lowerdir={{ mount 0 }}')], labels: {l: 'v'}});
		const again = (await stage.reopen()).activations({namespace: 'n'});
		t.deepEqual(await again.info('a'), made);
		await again.deactivate('a');
		t.deepEqual(await stage.leftovers(), []);
	});

	story('a lease must be there, and is told to who collects', async (t, stage) => {
		const mounts = [await stage.mount()];
		await t.throwsAsync(stage.manager.activations({namespace: 'n', lease: 'l'}).activate({name: 'a', mounts, isTemporary: true}), {code: 'NOT_FOUND'});
		await stage.lease('l');
		await stage.manager.activations({namespace: 'n', lease: 'l'}).activate({name: 'a', mounts, isTemporary: true, labels: {x: 'y'}});
		t.like(stage.manager.list(), [{namespace: 'n', id: 'a', lease: 'l', labels: {x: 'y'}}]);
		await stage.manager.activations({namespace: 'n'}).deactivate('a');
		t.deepEqual(stage.manager.list(), []);
	});

	story('what is condemned is not given to anybody, and swept', async (t, stage, activations) => {
		const request = {name: 'a', mounts: [await stage.mount()], isTemporary: true};
		await activations.activate(request);
		const [item] = stage.manager.list();
		item?.condemn();
		await t.throwsAsync(activations.info('a'), {code: 'NOT_FOUND'});
		t.deepEqual(stage.manager.list(), []);
		await stage.manager.sweep(never);
		t.deepEqual(await stage.leftovers(), []);

		await activations.activate(request);
		item?.condemn();
		t.is((await activations.info('a')).name, 'a', 'it is another one');
		stage.manager.list()[0]?.condemn();
		const made = await activations.activate(request);
		{
			stage.manager.list()[0]?.condemn();
			using _use = stage.use(made.active[0]?.mountPoint ?? '');
			await stage.manager.sweep(never);
			t.not((await stage.leftovers()).length, 0);
		}
		await stage.manager.sweep(never);
		t.deepEqual(await stage.leftovers(), []);
	});

	story('a request that is aborted leaves nothing', async (t, stage, activations) => {
		await t.throwsAsync(activations.activate({name: 'a', mounts: [await stage.mount()], isTemporary: true}, AbortSignal.abort(new Error('enough'))), {message: 'enough'});
		t.deepEqual(await stage.leftovers(), []);
	});
}
