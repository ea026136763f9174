import {mkdtemp, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import type {PinnedNamespace} from '../../contracts/network/network.ts';
import {networkNamespacesSuite} from '../../contracts/network/network-namespaces.suite.ts';
import {UMOUNT, unmountAll} from '../../lib/sys/mount.ts';
import {createNetworkNamespace, isNetworkNamespace, removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';
import {PinnedNamespaces} from '../../plugins/network-none/pinned-namespaces.ts';
import {succeed} from '../helpers/command.ts';
import {until} from '../helpers/until.ts';
import {MemoryNamespaces} from './memory-namespaces.ts';

async function directory(): Promise<AsyncDisposable & {path: string}> {
	const place = await mkdtemp(path.join(tmpdir(), 'keelson-netns-'));
	return {
		path: place,
		[Symbol.asyncDispose]: async () => {
			for (const name of await readdir(place)) {
				if (!name.startsWith('.')) {
					await removeNetworkNamespace(path.join(place, name));
				}
			}
			await rm(place, {recursive: true, force: true});
		},
	};
}

networkNamespacesSuite(test, {name: 'network-none', directory, isReal: true, open: async place => PinnedNamespaces.open(place)});

const pins = new Map<string, Map<string, PinnedNamespace>>();
networkNamespacesSuite(test, {
	name: 'memory', directory, isReal: false,
	open: async place => {
		const kept = pins.get(place) ?? new Map<string, PinnedNamespace>();
		pins.set(place, kept);
		return new MemoryNamespaces(place, kept);
	},
});

const owned = (id: string): [string, string] => ['default', id];

// Descriptors of the process are counted: nobody else may hold one meanwhile.
test.serial('a namespace that was made ahead is as new as any, with lo up, and used once', async t => {
	await using place = await directory();
	const namespaces = await PinnedNamespaces.open(place.path, {spareMs: 60_000, failed: error => t.fail(String(error))});
	try {
		const inodes = new Set<number>();
		for (const id of ['a', 'b', 'c']) {
			const {path: pin} = await namespaces.create(...owned(id));
			inodes.add((await stat(pin)).ino);
			t.regex((await succeed('nsenter', [`--net=${pin}`, 'ip', '-o', 'link'])).stdout, /^1: lo: <[^>]*UP[^>]*>[^\n]*\n$/);
			await until('the next to be made', async () => (await heldNamespaces()).length === 1);
		}
		t.is(inodes.size, 3);
		await t.throwsAsync(namespaces.create(...owned('c')), {message: /EEXIST|exists/});
	} finally {
		for (const id of ['a', 'b', 'c']) {
			await namespaces.remove(...owned(id));
		}
		await namespaces[Symbol.asyncDispose]();
	}
	t.deepEqual(await readdir(path.join(place.path, '.spares')), []);
	t.deepEqual(await heldNamespaces(), []);
});

test('what a daemon left that was killed while it made one is taken away', async t => {
	await using place = await directory();
	await (await PinnedNamespaces.open(place.path))[Symbol.asyncDispose]();
	const left = path.join(place.path, '.spares', '1234567');
	await createNetworkNamespace(left);
	await using _ = await PinnedNamespaces.open(place.path);
	t.deepEqual(await readdir(path.dirname(left)), []);
	t.false(isNetworkNamespace(left));
});

test('what a daemon left that was killed while it pinned one, or let it go, is taken away with its owner', async t => {
	await using place = await directory();
	const earlier = await PinnedNamespaces.open(place.path);
	const whole = await earlier.create(...owned('whole'));
	await earlier.create(...owned('half-gone'));
	await unmountAll(path.join(place.path, 'default-half-gone'), UMOUNT.DETACH);
	await writeFile(path.join(place.path, '.owners', 'default:not-yet-a-file'), '');
	await writeFile(path.join(place.path, '.owners', 'default:not-yet-a-mount'), '');
	await writeFile(path.join(place.path, 'default-not-yet-a-mount'), '');
	const next = await PinnedNamespaces.open(place.path);
	t.deepEqual((await readdir(place.path)).toSorted(), ['.owners', '.spares', 'default-whole']);
	t.deepEqual(await readdir(path.join(place.path, '.owners')), ['default:whole']);
	t.deepEqual(await next.list(), [whole]);
	const again = await next.create(...owned('half-gone'));
	t.true(isNetworkNamespace(again.path));
	await next.remove(...owned('half-gone'));
	await next.remove(...owned('whole'));
});

test('a namespace has an owner at every moment in which it can be found', async t => {
	await using place = await directory();
	await using namespaces = await PinnedNamespaces.open(place.path);
	for (const id of ['a', 'b', 'c']) {
		const creating = namespaces.create(...owned(id));
		const state = {isMade: false};
		const made = creating.then(() => {
			state.isMade = true;
		});
		while (!state.isMade) {
			const names = await readdir(place.path);
			const owners = await readdir(path.join(place.path, '.owners'));
			t.deepEqual(names.filter(name => !name.startsWith('.') && !owners.includes(name.replace('default-', 'default:'))), []);
		}
		await made;
		await namespaces.remove(...owned(id));
	}
});

/** Descriptors of this process that are network namespaces. */
async function heldNamespaces(): Promise<string[]> {
	return (await readdir('/proc/self/fd')).filter(fd => isNetworkNamespace(`/proc/self/fd/${fd}`));
}
