import {chmod, chown, link, lutimes, mkdir, open, rename, rm, stat, symlink, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {gunzipSync, zstdDecompressSync} from 'node:zlib';
import {makeNodeAt} from '../../lib/sys/at.ts';
import {setAttribute} from '../../lib/sys/extended-attributes.ts';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {mediaTypes} from '../oci/media-type.ts';
import type {Mount} from '../oci/mount.ts';
import {layerOf, sha256, Workplace, type DifferSubject, type SuiteTest} from './diff-subject.suite.ts';
import type {CompareOptions, Differ} from './diff.ts';
import {listTree} from './tree-listing.suite.ts';

/** The part of the suite for compare. */
export function compareSuite(test: SuiteTest, {name, create}: DifferSubject): void {
	test(`${name}: what compare says of two trees makes of the one the other`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		for (const root of ['lower', 'upper', 'copy']) {
			await makeTree(await place.make(root));
		}
		await changeTree(place.at('upper'));
		const tar = await compared(differ, await place.bind('lower'), await place.bind('upper'), {mediaType: mediaTypes.ociLayer});
		await differ.apply(layerOf(tar), await place.bind('copy'));
		t.deepEqual(listTree(place.at('copy')), listTree(place.at('upper')));
	});

	test(`${name}: what compare says of an overlay makes the same again on the layers below`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await makeTree(await place.make('base'));
		const mounts = await place.overlay('upper', 'empty', 'base');
		await place.mounted(mounts, changeTree);
		for (const lower of [await place.bind('base'), viewOf(place.at('empty'), place.at('base'))]) {
			const tar = await compared(differ, lower, mounts, {mediaType: mediaTypes.ociLayer});
			const again = await place.overlay(`again-${lower[0]?.type}`, 'empty', 'base');
			await differ.apply(layerOf(tar), again);
			const expected = await place.mounted(mounts, root => listTree(root));
			t.deepEqual(await place.mounted(again, root => listTree(root)), expected);
		}
		t.deepEqual((await mountsUnder('/')).filter(({superOptions}) => superOptions.some(option => option.includes(place.directory))), []);
	});

	test(`${name}: an unchanged tree has no changes, and nothing below means all is new`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await makeTree(await place.make('tree'));
		const none = await compared(differ, await place.bind('tree'), await place.bind('tree'), {mediaType: mediaTypes.ociLayer});
		t.deepEqual(none, Buffer.alloc(1024));
		const all = await compared(differ, [], await place.bind('tree'), {mediaType: mediaTypes.ociLayer});
		await differ.apply(layerOf(all), await place.bind('copy'));
		t.deepEqual(listTree(place.at('copy')), listTree(place.at('tree')));
	});

	test(`${name}: a change that the time does not tell is found in the bytes`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		for (const [root, body] of [['lower', 'one'], ['upper', 'two']] as const) {
			await place.make(root);
			await writeFile(place.at(`${root}/file`), body);
			await utimes(place.at(`${root}/file`), 1_700_000_000, 1_700_000_000);
		}
		const tar = await compared(differ, await place.bind('lower'), await place.bind('upper'), {mediaType: mediaTypes.ociLayer});
		t.true(tar.includes('two'));
	});

	test(`${name}: the same trees have the same bytes, in each compression`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await makeTree(await place.make('tree'));
		const mounts = await place.bind('tree');
		const tar = await compared(differ, [], mounts, {mediaType: mediaTypes.ociLayer});
		const inflate: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
			[mediaTypes.ociLayerGzip]: gunzipSync, [mediaTypes.dockerLayerGzip]: gunzipSync, [mediaTypes.ociLayerZstd]: zstdDecompressSync, [mediaTypes.dockerLayer]: bytes => bytes,
		};
		for (const [mediaType, inflated] of Object.entries(inflate)) {
			const bytes = await compared(differ, [], mounts, {mediaType}, sha256(tar));
			t.deepEqual(inflated(bytes), tar, mediaType);
			t.deepEqual(await compared(differ, [], mounts, {mediaType}), bytes, mediaType);
		}
		t.is((await differ.compare([], mounts).then(async layer => {
			await Array.fromAsync(layer.bytes);
			return layer;
		})).mediaType, mediaTypes.ociLayerGzip);
	});

	test(`${name}: times beyond the epoch of the source are cut down to it`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await place.make('tree');
		await writeFile(place.at('tree/new'), '');
		await writeFile(place.at('tree/old'), '');
		await utimes(place.at('tree/old'), 1000, 1000);
		const tar = await compared(differ, [], await place.bind('tree'), {mediaType: mediaTypes.ociLayer, sourceDateEpoch: new Date(1_500_000_000_000)});
		await differ.apply(layerOf(tar), await place.bind('copy'));
		t.is((await stat(place.at('copy/new'))).mtimeMs, 1_500_000_000_000);
		t.is((await stat(place.at('copy/old'))).mtimeMs, 1_000_000);
	});

	test(`${name}: another media type is refused`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await t.throwsAsync(differ.compare([], await place.bind('tree'), {mediaType: 'application/x-tar'}), {code: 'UNIMPLEMENTED'});
		await t.throwsAsync(differ.compare([], await place.bind('tree'), {mediaType: 'application/vnd.oci.image.layer.v1.tar+xz'}), {code: 'UNIMPLEMENTED'});
	});

	test(`${name}: a layer that is not read to its end holds nothing`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await writeFile(path.join(await place.make('big'), 'file'), Buffer.alloc(30_000_000, 'x'));
		const untouched = await differ.compare(await place.bind('empty'), viewOf(place.at('big'), await place.make('other')), {mediaType: mediaTypes.ociLayer});
		await untouched.bytes[Symbol.asyncIterator]().return?.();
		await t.throwsAsync(untouched.diffId);
		const begun = await differ.compare(await place.bind('empty'), viewOf(place.at('big'), place.at('other')), {mediaType: mediaTypes.ociLayer});
		for await (const chunk of begun.bytes) {
			t.true(chunk.length > 0);
			break;
		}
		const abort = new AbortController();
		const aborted = await differ.compare(await place.bind('empty'), viewOf(place.at('big'), place.at('other')), {mediaType: mediaTypes.ociLayer, signal: abort.signal});
		abort.abort();
		await t.throwsAsync(Array.fromAsync(aborted.bytes));
		await t.throwsAsync(aborted.diffId);
		t.deepEqual((await mountsUnder('/')).filter(({superOptions}) => superOptions.some(option => option.includes(place.directory))), []);
	});
}

/** The layer's bytes; its diffID is checked where it is known. */
async function compared(differ: Differ, lower: readonly Mount[], upper: readonly Mount[], options: CompareOptions, diffId?: string): Promise<Buffer> {
	const layer = await differ.compare(lower, upper, options);
	const bytes = Buffer.concat(await Array.fromAsync(layer.bytes));
	const expected = diffId ?? (options.mediaType === mediaTypes.ociLayer ? sha256(bytes) : undefined);
	if (expected !== undefined && await layer.diffId !== `sha256:${expected}`) {
		throw new Error(`diffID is ${await layer.diffId}, expected sha256:${expected}`);
	}
	return bytes;
}

function viewOf(...directories: readonly string[]): readonly Mount[] {
	return [{type: 'overlay', source: 'overlay', target: '', options: [`lowerdir=${directories.join(':')}`]}];
}

async function makeTree(root: string): Promise<void> {
	const at = (name: string): string => path.join(root, name);
	await mkdir(at('d/e/f'), {recursive: true});
	await mkdir(at('gone/inside'), {recursive: true});
	await mkdir(at('made-anew/old'), {recursive: true});
	for (const name of ['same', 'changed', 'removed', 'moded', 'owned', 'noted', 'd/e/f/deep', 'gone/inside/file', 'made-anew/file', 'to-directory']) {
		await writeFile(at(name), `${name}\n`);
	}
	await chmod(at('d/e'), 0o2750);
	await chown(at('d/e'), 12, 13);
	await link(at('same'), at('d/same-again'));
	await symlink('same', at('link'));
	makeNodeAt(-100, at('fifo'), 0o010_640);
	makeNodeAt(-100, at('device'), 0o020_600, {major: 1, minor: 5});
	setAttribute(at('d'), 'user.on-directory', Buffer.from('yes'));
	setAttribute(at('noted'), 'user.note', Buffer.from([0, 0xff]));
	await settle(root);
}

async function changeTree(root: string): Promise<void> {
	const at = (name: string): string => path.join(root, name);
	await writeFile(at('changed'), 'changed, and longer\n');
	await rm(at('removed'));
	await chmod(at('moded'), 0o4711);
	await chown(at('owned'), 1000, 1001);
	setAttribute(at('noted'), 'user.note', Buffer.from('another'));
	setAttribute(at('owned'), 'security.capability', Buffer.from('0100000281ff000000fe000000000000000000000000000000'.slice(0, 40), 'hex'));
	await rm(at('gone'), {recursive: true});
	await rm(at('made-anew'), {recursive: true});
	await mkdir(at('made-anew'));
	await writeFile(at('made-anew/new'), 'new\n');
	await rm(at('to-directory'));
	await mkdir(at('to-directory/inside'), {recursive: true});
	await rm(at('link'));
	await symlink('changed', at('link'));
	await rename(at('d/e/f/deep'), at('d/e/renamed'));
	await writeFile(at('first'), 'linked\n');
	await link(at('first'), at('d/second'));
	await writeFile(at('n'.repeat(200)), 'a long name\n');
	await writeFile(Buffer.concat([Buffer.from(at('latin-')), Buffer.from([0xe9, 0xff])]), '');
	await symlink('t'.repeat(300), at('long-link'));
	await using sparse = await open(at('sparse'), 'w');
	await sparse.write(Buffer.from('end'), 0, 3, 5_000_000);
}

// Made within one tick for three trees, they would differ in times.
async function settle(root: string): Promise<void> {
	const lines = listTree(root).map(line => line.split(' ')[0] ?? '');
	for (const name of lines.toReversed()) {
		await lutimes(path.join(root, name), 1_600_000_000.25, 1_600_000_000.25);
	}
}
