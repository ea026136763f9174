import {readdir} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import * as z from 'zod';
import {Differ} from '../../contracts/diff/diff.ts';
import {EventBus} from '../../contracts/event/event.ts';
import {layerOf, sha256, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {contract, definePlugin, one} from '../../kernel/index.ts';
import {plugin as diffTar} from '../../plugins/diff-tar/plugin.ts';
import {plugin as eventExchange} from '../../plugins/event-exchange/plugin.ts';
import {plugin as snapshotOverlay} from '../../plugins/snapshot-overlay/plugin.ts';
import {oddLayers} from '../helpers/odd-layers.ts';
import {until} from '../helpers/until.ts';
import {bootIn} from '../kernel/plugins.ts';
import {Room} from '../kernel/room.ts';

interface Both {
	readonly snapshots: Snapshotter;
	readonly differ: Differ;
	readonly events: EventBus;
}

test('an image is unpacked into snapshots, one on the other, and compared back into its layers', async t => {
	await using room = await Room.make();
	await using place = await Workplace.open();
	const {snapshots, differ, running} = await bootBoth(room, {
		'io.containerd.snapshotter.v1.overlayfs': {root_path: `${room.path}/elsewhere`, sync_remove: true},
		'io.containerd.differ.v1.walking': {decompressor: 'builtin', workers: 1},
	});
	let parent = '';
	for (const [at, {bytes, mediaType, diffId}] of oddLayers([]).entries()) {
		const mounts = await snapshots.prepare(`extract ${at}`, parent);
		t.is(diffId, (await differ.apply(layerOf(bytes, mediaType), mounts)).digest);
		await snapshots.commit(`layer ${at}`, `extract ${at}`);
		parent = `layer ${at}`;
	}
	const whole = await snapshots.view('whole', parent);
	const expected = await place.mounted(whole, root => listTree(root));
	t.true(expected.length > 300);

	// The same tree from what compare finds between each snapshot and its parent.
	let again = '';
	let lower: Awaited<ReturnType<Snapshotter['view']>> = [];
	for (let at = 0; at < oddLayers([]).length; at++) {
		const upper = await snapshots.view(`look ${at}`, `layer ${at}`);
		const {bytes, diffId} = await differ.compare(lower, upper, {mediaType: mediaTypes.ociLayer});
		const layer = Buffer.concat(await Array.fromAsync(bytes));
		t.is(await diffId, `sha256:${sha256(layer)}`);
		await differ.apply(layerOf(layer), await snapshots.prepare(`extract again ${at}`, again));
		await snapshots.commit(`again ${at}`, `extract again ${at}`);
		again = `again ${at}`;
		lower = upper;
	}
	const second = await place.mounted(await snapshots.view('whole again', again), root => listTree(root));
	t.deepEqual(second, expected);
	t.deepEqual((await readdir(path.join(room.path, 'elsewhere'))).filter(name => !name.startsWith('snapshots.db')), ['snapshots']);
	await running[Symbol.asyncDispose]();
});

test('the plugins stop in the middle of their work, and leave no mount and no thread', async t => {
	await using room = await Room.make();
	const {snapshots, differ, running} = await bootBoth(room, {});
	const mounts = await snapshots.prepare('key', '');
	const endless = {...layerOf(Buffer.alloc(0)), async * read(signal?: AbortSignal) {
		yield oddLayers([])[4]?.bytes.subarray(0, 2000) ?? Buffer.alloc(0);
		await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))));
	}};
	const applied = differ.apply(endless, mounts, {signal: AbortSignal.timeout(300)});
	await t.throwsAsync(applied);
	await running[Symbol.asyncDispose]();
	await t.throwsAsync(differ.apply(layerOf(Buffer.alloc(0)), mounts), {code: 'UNAVAILABLE'});
});

// Before the others, which have threads of their own.
test.serial('the first thread starts when content is kept, since layers follow documents', async t => {
	await using room = await Room.make();
	const {events, running} = await bootBoth(room, {});
	const threads = async (): Promise<number> => (await readdir('/proc/self/task')).length;
	const before = await threads();
	const digest = `sha256:${'0'.repeat(64)}`;
	events.publish('n', '/content/delete', {type: 'containerd.events.ContentDelete', value: {digest}});
	await sleep(200);
	t.is(await threads(), before);
	for (let count = 0; count < 3; count++) {
		events.publish('n', '/content/create', {type: 'containerd.events.ContentCreate', value: {digest, size: 1n}});
	}
	await until('the thread', async () => await threads() === before + 1);
	await sleep(200);
	t.is(await threads(), before + 1);
	await running[Symbol.asyncDispose]();
	await until('no thread', async () => await threads() === before);
});

async function bootBoth(room: Room, tables: Readonly<Record<string, unknown>>): Promise<Both & {readonly running: AsyncDisposable}> {
	let both: Both | undefined;
	const user = definePlugin({
		id: 'io.test.user.v1.it',
		provides: contract('io.test.user.v1').for<unknown>(),
		requires: {snapshots: one(Snapshotter), differ: one(Differ), events: one(EventBus)},
		config: z.strictObject({}),
		init({services}) {
			both = services;
			return services;
		},
	});
	const {running, lines} = await bootIn(room, [user, eventExchange, ...diffTar({}, () => undefined), snapshotOverlay], {plugins: tables});
	if (both === undefined) {
		await running[Symbol.asyncDispose]();
		throw new Error(lines.join('\n'));
	}
	return {...both, running};
}
