import {mkdir, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Differ} from '../../contracts/diff/diff.ts';
import {layerOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {AT_FDCWD, errnoOf} from '../../lib/sys/libc.ts';
import {RENAME, renameAt} from '../../lib/sys/at.ts';
import {createDiffer} from '../helpers/tar-differ.ts';
import {tar, type TarEntry} from '../helpers/tar-writer.ts';

/** A tree in which to apply, and one beside it that must stay as it is. */
async function scene(t: ExecutionContext, body: (scene: {readonly differ: Differ; readonly place: Workplace; readonly outside: string; readonly apply: (entries: readonly TarEntry[]) => Promise<void>}) => Promise<void>): Promise<void> {
	for (const kind of ['bind', 'overlay'] as const) {
		await using differ = await createDiffer();
		await using place = await Workplace.open();
		const outside = await place.make('outside');
		await mkdir(path.join(outside, 'directory'), {mode: 0o700});
		await writeFile(path.join(outside, 'secret'), 'secret\n', {mode: 0o600});
		await writeFile(path.join(outside, 'directory/inside'), '');
		const before = listTree(outside);
		const mounts: readonly Mount[] = kind === 'bind' ? await place.bind('root') : await place.overlay('root', 'lower');
		await body({
			differ, place, outside,
			async apply(entries) {
				await differ.apply(layerOf(tar(entries)), mounts);
			},
		});
		t.deepEqual(listTree(outside), before, kind);
		t.deepEqual((await readdir(place.directory)).filter(name => !['root', 'root.work', 'lower', 'outside'].includes(name)), []);
	}
}

const refused = {code: 'INVALID_ARGUMENT'};

test.serial('CVE-2021-32760: modes, owners and times do not go through a symbolic link', async t => {
	await scene(t, async ({apply, outside}) => {
		await apply([
			{name: 'link', type: 'symlink', link: `${outside}/secret`, mode: 0o777, uid: 5},
			{name: 'hard', type: 'hardlink', link: 'link', mode: 0o6777, uid: 6, pax: {'SCHILY.xattr.user.x': 'y'}},
			{name: 'up', type: 'symlink', link: '../outside/secret', mode: 0o777},
			{name: 'up-hard', type: 'hardlink', link: 'up', mode: 0o6777, mtime: '5'},
		]);
	});
});

test.serial('CVE-2025-47290: a directory that the archive itself replaces by a link does not lead out', async t => {
	await scene(t, async ({apply, place, outside}) => {
		await apply([
			{name: 'd/', type: 'directory', mode: 0o755, mtime: '1000'}, {name: 'd/directory/', type: 'directory'}, {name: 'd/directory/first'},
			{name: 'd', type: 'symlink', link: outside},
			{name: 'd/secret', body: 'overwritten'}, {name: 'd/directory/inside', body: 'overwritten'}, {name: 'd/.wh.secret'}, {name: 'd/directory/.wh..wh..opq'}, {name: 'd/new/', type: 'directory', mode: 0o777},
		]);
		t.true((await stat(path.join(place.at('root'), outside))).isDirectory(), 'the link is resolved within the tree');
	});
	await scene(t, async ({apply}) => {
		await apply([
			{name: 'd', type: 'symlink', link: '../outside'}, {name: 'd/', type: 'directory', mode: 0o777}, {name: 'd/secret', body: 'mine'},
			{name: 'd/', type: 'directory', mtime: '7'}, {name: 'd', type: 'symlink', link: '../outside'},
		]);
	});
});

test.serial('CVE-2025-47290: a link that somebody else swaps in while a layer is applied does not lead out', async t => {
	await scene(t, async ({apply, place, outside}) => {
		await place.make('root/d');
		await symlink(outside, place.at('root/swap'));
		const over = new AbortController();
		const applied = apply(Array.from({length: 4000}, (_, at): TarEntry => at % 9 === 0 ? {name: 'd/', type: 'directory', mode: 0o777} : at % 5 === 0 ? {name: 'd/.wh.secret'} : {name: `d/${at % 2 === 0 ? 'secret' : `n${at}`}`, body: 'x', mode: 0o6777})).then(
			() => undefined,
			// A name may be gone or made in between: that fails, and must not be worse.
			(error: unknown) => error,
		).finally(() => over.abort());
		while (!over.signal.aborted) {
			for (let times = 0; times < 20; times++) {
				tryExchange(place.at('root/d'), place.at('root/swap'));
			}
			await new Promise(resolve => setImmediate(resolve));
		}
		await applied;
	});
});

// The archive replaces one of the two now and then, and in between it is gone.
function tryExchange(one: string, other: string): void {
	try {
		renameAt(AT_FDCWD, one, AT_FDCWD, other, RENAME.EXCHANGE);
	} catch (error) {
		if (errnoOf(error) !== 'ENOENT') {
			throw error;
		}
	}
}

test.serial('a link on the way to a hard link\'s target does not lead out', async t => {
	await scene(t, async ({apply, outside}) => {
		await t.throwsAsync(apply([{name: 'out', type: 'symlink', link: outside}, {name: 'stolen', type: 'hardlink', link: 'out/secret'}]), refused);
		await t.throwsAsync(apply([{name: 'up', type: 'symlink', link: '../../../../../../../..'}, {name: 'stolen', type: 'hardlink', link: `up${outside}/secret`}]), refused);
		await t.throwsAsync(apply([{name: 'stolen', type: 'hardlink', link: '../outside/secret'}]), refused);
		await t.throwsAsync(apply([{name: 'stolen', type: 'hardlink', link: `${outside}/secret`}]), refused);
	});
});

test.serial('magic links of proc lead nowhere', async t => {
	await scene(t, async ({apply, place}) => {
		await apply([{name: 'p', type: 'symlink', link: '/proc/self/root'}, {name: 'p/tmp/keelson-hostile', body: 'x'}]);
		t.is(await readFile(path.join(place.at('root'), 'proc/self/root/tmp/keelson-hostile'), 'utf8'), 'x');
	});
});

test.serial('absolute names and dots count from the root; those that climb out are refused', async t => {
	await scene(t, async ({apply, place, outside}) => {
		await apply([{name: `${outside}/secret`, body: 'x'}, {name: '/./a//./b/../c', body: 'x'}]);
		t.deepEqual(await readdir(path.join(place.at('root'), 'a')), ['c']);
		for (const name of ['../outside/secret', '/../outside/secret', 'a/../../outside/secret', '..', './../outside/.wh.secret']) {
			await t.throwsAsync(apply([{name, body: 'overwritten'}]), refused, name);
		}
	});
});

test.serial('a whiteout hides no more than one name', async t => {
	await scene(t, async ({apply}) => {
		for (const name of ['.wh.', '.wh..', '.wh...', 'a/.wh...']) {
			await t.throwsAsync(apply([{name}]), refused, name);
		}
	});
});

test.serial('CVE-2026-95838: repeated opaque marks cost no more than one', async t => {
	await using differ = await createDiffer();
	await using place = await Workplace.open();
	const files = Array.from({length: 3000}, (_, at): TarEntry => ({name: `d/${at}`}));
	const depths = Array.from({length: 300}, (_, at) => Array.from({length: at + 1}, (__, step) => `s${step}`).join('/'));
	const start = performance.now();
	await differ.apply(layerOf(tar([...files, ...depths.map((name): TarEntry => ({name: `${name}/`, type: 'directory'})), ...depths.map((name): TarEntry => ({name: `${name}/file`}))])), await place.bind('root'));
	const plainMs = performance.now() - start;
	const marks: TarEntry[] = [
		...files.flatMap((file): TarEntry[] => [file, {name: 'd/.wh..wh..opq'}]),
		...depths.toReversed().flatMap((name): TarEntry[] => [{name: `${name}/`, type: 'directory'}, {name: `${name}/.wh..wh..opq`}, {name: `${name}/.wh..wh..opq`}]),
	];
	const marked = performance.now();
	await differ.apply(layerOf(tar(marks)), await place.bind('root'));
	t.true(performance.now() - marked < 10 * plainMs + 5000, `${Math.round(performance.now() - marked)} ms with marks, ${Math.round(plainMs)} ms without`);
	t.is((await readdir(place.at('root/d'))).length, 3000);
	t.false(listTree(place.at('root')).some(line => line.includes('/file ')));
});

test.serial('apple/container: names that are too long are refused, and the differ lives on', async t => {
	await scene(t, async ({apply}) => {
		await t.throwsAsync(apply([{name: 'n'.repeat(300)}]), refused);
		await t.throwsAsync(apply([{name: `${'n'.repeat(200)}/`.repeat(25)}]), refused);
		await t.throwsAsync(apply([{name: 'x'.repeat(100_000)}]), refused);
		await t.throwsAsync(apply([{name: 'x', pax: {comment: 'y'.repeat(2_000_000)}}]), refused);
		await t.throwsAsync(apply([{name: 'x', type: 'symlink', link: 'y'.repeat(5000)}]), refused);
		await apply([{name: 'fine'}]);
	});
});

test.serial('apple/container: extended attributes with impossible names or lengths are refused', async t => {
	await scene(t, async ({differ, apply, place}) => {
		await t.throwsAsync(apply([{name: 'x', pax: {'SCHILY.xattr.user.big': Buffer.alloc(100_000)}}]), refused);
		await t.throwsAsync(apply([{name: 'x', pax: {[`SCHILY.xattr.user.${'n'.repeat(300)}`]: 'x'}}]), refused);
		await t.throwsAsync(apply([{name: 'x', pax: {'SCHILY.xattr.': 'x'}}]), refused);
		const good = tar([{name: 'x', pax: {'SCHILY.xattr.user.note': 'x'.repeat(50)}}]);
		for (const length of ['0', '-1', '9999999999', '99', '7', 'x', '']) {
			const bad = Buffer.from(good);
			bad.fill(' ', 512, 515);
			bad.write(length.slice(0, 3), 512, 'latin1');
			await t.throwsAsync(differ.apply(layerOf(bad), await place.bind('root')), refused, length);
		}
	});
});

test.serial('an archive does not configure overlayfs', async t => {
	await scene(t, async ({apply, place}) => {
		await apply([{name: 'd/', type: 'directory', pax: {'SCHILY.xattr.trusted.overlay.redirect': '/etc', 'SCHILY.xattr.user.overlay.opaque': 'y', 'SCHILY.xattr.trusted.overlay.opaque': 'y'}}]);
		t.false(listTree(place.at('root')).some(line => line.includes('overlay')));
	});
});

test.serial('CVE-2024-40635: owners that do not fit into 32 bits are refused, not cut', async t => {
	await scene(t, async ({apply}) => {
		for (const uid of ['4294967296', '4294967295', '-1', '9007199254740993']) {
			await t.throwsAsync(apply([{name: 'x', pax: {uid}}]), refused, uid);
			await t.throwsAsync(apply([{name: 'x', pax: {gid: uid}}]), refused, uid);
		}
	});
});

test.serial('links in a circle, and files for directories, are refused', async t => {
	await scene(t, async ({apply}) => {
		await t.throwsAsync(apply([{name: 'a', type: 'symlink', link: 'b'}, {name: 'b', type: 'symlink', link: 'a'}, {name: 'a/x'}]), refused);
		await t.throwsAsync(apply([{name: 'f'}, {name: 'f/x'}]), refused);
		await t.throwsAsync(apply([{name: 'n/', type: 'directory'}, {name: 'h', type: 'hardlink', link: 'n'}]), refused);
	});
});

test.serial('maps of sparse files that lie are refused', async t => {
	await scene(t, async ({apply}) => {
		const bytes = Buffer.from('xx');
		for (const dialect of ['pax', 'gnu'] as const) {
			await t.throwsAsync(apply([{name: 's', dialect, sparse: {size: 10, extents: [{offset: 9, bytes}]}}]), refused);
			await t.throwsAsync(apply([{name: 's', dialect, sparse: {size: 10, extents: [{offset: 4, bytes}, {offset: 5, bytes}]}}]), refused);
		}
		await t.throwsAsync(apply([{name: 's', body: '70000\n0\n1\n'.padEnd(512, '\0'), pax: {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '5'}}]), refused);
		await t.throwsAsync(apply([{name: 's', body: 'x', pax: {'GNU.sparse.map': '0,1,2', 'GNU.sparse.size': '5'}}]), refused);
	});
});

test.serial('archives with random damage fail cleanly or are applied, and stay inside', async t => {
	await scene(t, async ({differ, place, outside}) => {
		const good = tar([
			{name: 'd/', type: 'directory'}, {name: 'd/f', body: 'x'.repeat(700), pax: {'SCHILY.xattr.user.a': 'b'}}, {name: 'l', type: 'symlink', link: outside}, {name: 'h', type: 'hardlink', link: 'd/f'},
			{name: 'd/.wh.f'}, {name: 'd/.wh..wh..opq'}, {name: 's', sparse: {size: 9000, extents: [{offset: 100, bytes: Buffer.from('x')}]}}, {name: 'l/in', body: 'x'},
		]);
		let seed = 42;
		const random = (below: number): number => {
			seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
			return Math.floor(seed / 2_147_483_648 * below);
		};
		const codes = new Set<unknown>();
		for (let round = 0; round < 150; round++) {
			const bad = Buffer.from(good);
			for (let times = 0; times < 3; times++) {
				const block = random(bad.length / 512) * 512;
				bad.writeUInt8(random(256), block + random(345));
				// A right checksum lets the damage through.
				bad.fill(' ', block + 148, block + 156);
				const sum = bad.subarray(block, block + 512).reduce((total, byte) => total + byte, 0);
				bad.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1');
			}
			await differ.apply(layerOf(bad), await place.bind('root')).catch((error: unknown) => codes.add((error as {code?: unknown}).code));
			await rm(place.at('root'), {recursive: true});
		}
		await place.make('root');
		t.deepEqual([...codes].filter(code => code !== 'INVALID_ARGUMENT' && code !== 'DATA_LOSS'), []);
	});
});
