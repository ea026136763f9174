import {lstat, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {getAttribute} from '../../lib/sys/extended-attributes.ts';
import {endMark} from '../../lib/tar/tar-writer.ts';
import {mediaTypes} from '../oci/media-type.ts';
import {compareSuite} from './diff-compare.suite.ts';
import {layerOf, sha256, tarOf, Workplace, type DifferSubject, type SuiteTest, type SuiteEntry} from './diff-subject.suite.ts';
import {eStargz, skippableFrame, zstdChunked, zstdFrameOf, zstdFrames} from './lazy-layers.suite.ts';
import {listTree} from './tree-listing.suite.ts';

/** Every differ passes this, in this process or behind a socket. */
export function diffSuite(test: SuiteTest, subject: DifferSubject): void {
	applies(test, subject);
	removes(test, subject);
	refuses(test, subject);
	compareSuite(test, subject);
}

const some: readonly SuiteEntry[] = [
	{name: 'bin/'}, {name: 'bin/tool', body: 'tool\n', mode: 0o4755, uid: 7, gid: 8},
	{name: 'bin/same', type: 'link', linkName: 'bin/tool', mode: 0o4755, uid: 7, gid: 8},
	{name: 'link', type: 'symlink', linkName: '/bin/tool', uid: 5, mtimeNs: 1_600_000_000_123_456_789n},
	{name: 'dev/', mode: 0o1777}, {name: 'dev/null', type: 'character', device: {major: 1, minor: 3}, mode: 0o666}, {name: 'fifo', type: 'fifo', mode: 0o640},
	{name: 'big', body: Buffer.alloc(3_000_000, 'keelson ')},
];

function applies(test: SuiteTest, {name, create}: DifferSubject): void {
	test(`${name}: what an archive says of files is so`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await differ.apply(layerOf(tarOf([...some, {name: 'noted', attributes: [{name: Buffer.from('user.note'), value: Buffer.from([0xff, 0, 0x80])}]}])), await place.bind('root'));
		const root = place.at('root');
		const {mode, uid, gid, nlink} = await stat(path.join(root, 'bin/tool'));
		t.deepEqual({mode, uid, gid, nlink}, {mode: 0o104755, uid: 7, gid: 8, nlink: 2});
		t.is((await lstat(path.join(root, 'link'), {bigint: true})).mtimeNs, 1_600_000_000_123_456_789n);
		t.is((await stat(path.join(root, 'dev'), {bigint: true})).mtimeNs, 1_700_000_000_000_000_000n);
		t.is((await stat(path.join(root, 'dev'))).mode, 0o41777);
		t.is((await stat(path.join(root, 'dev/null'))).rdev, 0x103);
		t.true((await stat(path.join(root, 'fifo'))).isFIFO());
		t.is(sha256(await readFile(path.join(root, 'big'))), sha256(Buffer.alloc(3_000_000, 'keelson ')));
		t.deepEqual(getAttribute(path.join(root, 'noted'), 'user.note'), Buffer.from([0xff, 0, 0x80]));
	});

	test(`${name}: the answer is of the whole tar, with what follows its end mark`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const tar = tarOf(some, Buffer.concat([endMark, Buffer.alloc(20_480), Buffer.from('what nobody reads')]));
		const {mediaType, digest, size} = await differ.apply(layerOf(gzipSync(tar), mediaTypes.ociLayerGzip), await place.bind('root'));
		t.deepEqual({mediaType, digest, size}, {mediaType: mediaTypes.ociLayer, digest: `sha256:${sha256(tar)}`, size: tar.length});
	});

	test(`${name}: each compression, by file and by bytes, makes the same tree`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const tar = tarOf(some);
		const gzipTwice = Buffer.concat([gzipSync(tar.subarray(0, 100_000)), gzipSync(tar.subarray(100_000))]);
		const zstdTwice = Buffer.concat([zstdCompressSync(tar.subarray(0, 100_000)), zstdCompressSync(tar.subarray(100_000))]);
		const skippables = Buffer.concat([skippableFrame(Buffer.from('first')), zstdFrames(tar), skippableFrame(Buffer.alloc(300_000), 7), zstdCompressSync(Buffer.alloc(0)), skippableFrame(Buffer.alloc(0), 15)]);
		const kinds: readonly (readonly [string, Uint8Array])[] = [
			[mediaTypes.ociLayer, tar], [mediaTypes.ociLayerGzip, gzipSync(tar)], [mediaTypes.ociLayerGzip, gzipTwice], [mediaTypes.ociLayerZstd, zstdCompressSync(tar)],
			[mediaTypes.dockerLayer, tar], [mediaTypes.dockerLayer, gzipSync(tar)], [mediaTypes.dockerLayer, zstdCompressSync(tar)], [mediaTypes.dockerLayerGzip, gzipSync(tar)],
			[mediaTypes.ociLayerZstd, zstdTwice], [mediaTypes.ociLayerZstd, skippables], [mediaTypes.dockerLayer, skippables], [mediaTypes.ociLayerZstd, zstdChunked(tar)],
			[mediaTypes.ociLayerGzip, eStargz(tar)], [mediaTypes.dockerLayer, eStargz(tar)],
		];
		await differ.apply(layerOf(tar), await place.bind('expected'));
		for (const [at, [mediaType, bytes]] of kinds.entries()) {
			for (const [way, layer] of [['bytes', layerOf(bytes, mediaType)], ['file', await place.file(bytes, mediaType)]] as const) {
				const {digest} = await differ.apply(layer, await place.bind(`${at}-${way}`));
				t.is(digest, `sha256:${sha256(tar)}`, `${mediaType} by ${way}`);
				t.deepEqual(listTree(place.at(`${at}-${way}`)), listTree(place.at('expected')));
			}
		}
	});

	test(`${name}: an archive without end mark, and one without entries, are whole`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await differ.apply(layerOf(tarOf([{name: 'file', body: 'x'}], Buffer.alloc(0))), await place.bind('root'));
		await differ.apply(layerOf(tarOf([])), await place.bind('root'));
		await differ.apply(layerOf(Buffer.alloc(0)), await place.bind('root'));
		t.deepEqual(await readdir(place.at('root')), ['file']);
	});

	test(`${name}: the later of two entries counts, whatever they are`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await differ.apply(layerOf(tarOf([
			{name: 'a', body: 'first'}, {name: 'a', body: 'second'}, {name: 'b/'}, {name: 'b/inner', body: 'x'}, {name: 'b', type: 'symlink', linkName: 'a'},
			{name: 'c', type: 'symlink', linkName: 'a'}, {name: 'c/'}, {name: 'c/inner'}, {name: 'd/', mode: 0o700}, {name: 'd/kept'}, {name: 'd/', mode: 0o711},
		])), await place.bind('root'));
		t.is(await readFile(place.at('root/b'), 'utf8'), 'second');
		t.deepEqual(await readdir(place.at('root/c')), ['inner']);
		t.deepEqual(await readdir(place.at('root/d')), ['kept']);
		t.is((await stat(place.at('root/d'))).mode & 0o777, 0o711);
	});

	test(`${name}: progress grows, to no more than the size`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const told: number[] = [];
		const {size} = await differ.apply(layerOf(tarOf([{name: 'big', body: Buffer.alloc(20_000_000)}])), await place.bind('root'), {progress: bytes => told.push(bytes)});
		t.true(told.length > 0 && told.every((bytes, at) => bytes <= size && bytes > (told[at - 1] ?? 0)));
	});

	test(`${name}: many layers are applied at once`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const layers = Array.from({length: 12}, (_, at) => tarOf([{name: 'name', body: `${at}`}, ...some]));
		const applied = await Promise.all(layers.map(async (tar, at) => differ.apply(at % 2 === 0 ? layerOf(tar) : await place.file(tar), await place.bind(`root-${at}`), {syncFs: at === 0})));
		for (const [at, {digest}] of applied.entries()) {
			t.is(digest, `sha256:${sha256(layers[at] ?? Buffer.alloc(0))}`);
			t.is(await readFile(place.at(`root-${at}/name`), 'utf8'), `${at}`);
		}
	});
}

function removes(test: SuiteTest, {name, create}: DifferSubject): void {
	const lower: readonly SuiteEntry[] = [
		{name: 'file', body: 'below'}, {name: 'gone', body: 'x'}, {name: 'gone-directory/'}, {name: 'gone-directory/a'},
		{name: 'opaque/', mode: 0o700}, {name: 'opaque/old'}, {name: 'opaque/sub/'}, {name: 'opaque/sub/old'},
		{name: 'implicit/', mode: 0o2711, uid: 42, gid: 43}, {name: 'implicit/deep/', mode: 0o750}, {name: 'implicit/deep/stays'},
		{name: 'replaced/'}, {name: 'replaced/inside'}, {name: 'linked', body: 'linked\n', mode: 0o640, uid: 9},
	];
	const upper: readonly SuiteEntry[] = [
		{name: '.wh.gone'}, {name: '.wh.gone-directory'}, {name: '.wh.never-was'}, {name: 'opaque/', mode: 0o755}, {name: 'opaque/early'}, {name: 'opaque/.wh..wh..opq'}, {name: 'opaque/sub/'}, {name: 'opaque/sub/new'},
		{name: 'implicit/deep/added', body: 'x'}, {name: 'replaced', body: 'a file now'},
	];
	const expected = ['/file', '/implicit', '/implicit/deep', '/implicit/deep/added', '/implicit/deep/stays', '/linked', '/opaque', '/opaque/early', '/opaque/sub', '/opaque/sub/new', '/replaced'];

	test(`${name}: whiteouts remove from a whole tree`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await differ.apply(layerOf(tarOf(lower)), await place.bind('root'));
		await differ.apply(layerOf(tarOf(upper)), await place.bind('root'));
		t.deepEqual(listTree(place.at('root')).map(line => line.split(' ')[0]), expected);
	});

	test(`${name}: whiteouts remove through an overlay, and the layer below is as it was`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await differ.apply(layerOf(tarOf(lower)), await place.bind('lower'));
		const before = listTree(place.at('lower'));
		const mounts = await place.overlay('upper', 'lower');
		await differ.apply(layerOf(tarOf(upper)), mounts);
		await place.mounted(mounts, async root => {
			t.deepEqual(listTree(root).map(line => line.split(' ')[0]), expected);
			const {mode, uid, gid} = await stat(path.join(root, 'implicit'));
			t.deepEqual({mode, uid, gid}, {mode: 0o42711, uid: 42, gid: 43}, 'a directory that the archive only implies keeps what it was');
			t.is((await stat(path.join(root, 'implicit/deep'))).mode & 0o7777, 0o750);
		});
		t.deepEqual(listTree(place.at('lower')), before);
	});

	test(`${name}: an overlay and a whole tree become the same`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const third: readonly SuiteEntry[] = [{name: 'opaque/.wh.early'}, {name: 'gone', body: 'again'}, {name: '.wh.replaced'}, {name: 'file/'}, {name: 'file/inside'}];
		const layers = [lower, upper, third].map(entries => tarOf(entries));
		for (const [at, tar] of layers.entries()) {
			await differ.apply(layerOf(tar), await place.bind('whole'));
			const below = Array.from({length: at}, (_, index) => `layer-${at - 1 - index}`);
			await differ.apply(layerOf(tar), below.length === 0 ? await place.bind(`layer-${at}`) : await place.overlay(`layer-${at}`, ...below));
		}
		await place.mounted(await place.overlay('top', 'layer-2', 'layer-1', 'layer-0'), root => {
			t.deepEqual(listTree(root, {isWithoutDirectoryTimes: true}), listTree(place.at('whole'), {isWithoutDirectoryTimes: true}));
		});
	});

	test(`${name}: a hard link may be to a file of a layer below`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		await differ.apply(layerOf(tarOf(lower)), await place.bind('lower'));
		const mounts = await place.overlay('upper', 'middle', 'lower');
		await differ.apply(layerOf(tarOf([{name: 'new/name', type: 'link', linkName: 'linked', mode: 0o640, uid: 9}])), mounts);
		await place.mounted(mounts, async root => {
			const [one, other] = [await stat(path.join(root, 'linked')), await stat(path.join(root, 'new/name'))];
			t.is(one.ino, other.ino);
			t.deepEqual({mode: one.mode, uid: one.uid, nlink: one.nlink}, {mode: 0o100640, uid: 9, nlink: 2});
			t.is(await readFile(path.join(root, 'new/name'), 'utf8'), 'linked\n');
		});
	});
}

function refuses(test: SuiteTest, {name, create}: DifferSubject): void {
	const tar = tarOf(some);
	const cases: readonly (readonly [string, string, Uint8Array, string])[] = [
		['bytes that are no tar', mediaTypes.ociLayer, Buffer.alloc(2000, 'no tar'), 'INVALID_ARGUMENT'],
		['a plain tar as gzip', mediaTypes.ociLayerGzip, tar, 'INVALID_ARGUMENT'],
		['zstd as gzip', mediaTypes.ociLayerGzip, zstdCompressSync(tar), 'INVALID_ARGUMENT'],
		['gzip as zstd', mediaTypes.ociLayerZstd, gzipSync(tar), 'INVALID_ARGUMENT'],
		['no tar within gzip', mediaTypes.ociLayerGzip, gzipSync(Buffer.alloc(2000, 'no tar')), 'INVALID_ARGUMENT'],
		['a tar that is cut in a file', mediaTypes.ociLayer, tar.subarray(0, 1_000_000), 'DATA_LOSS'],
		['a tar that is cut in a header', mediaTypes.ociLayer, tar.subarray(0, 700), 'DATA_LOSS'],
		['a gzip that is cut', mediaTypes.ociLayerGzip, gzipSync(tar, {level: 0}).subarray(0, 1_000_000), 'DATA_LOSS'],
		['a zstd that is cut', mediaTypes.ociLayerZstd, zstdCompressSync(tar).subarray(0, -10), 'DATA_LOSS'],
		['a zstd whose second frame is cut', mediaTypes.ociLayerZstd, zstdFrames(tar, tar.length / 2).subarray(0, -10), 'DATA_LOSS'],
		['a zstd with garbage behind its frame', mediaTypes.ociLayerZstd, Buffer.concat([zstdCompressSync(tar), Buffer.from('garbage')]), 'DATA_LOSS'],
		['a zstd whose window is 256 MiB', mediaTypes.ociLayerZstd, zstdFrameOf(28, tarOf([{name: 'small'}])), 'RESOURCE_EXHAUSTED'],
		['a header whose checksum is wrong', mediaTypes.ociLayer, Buffer.from(tar).fill('x', 0, 3), 'INVALID_ARGUMENT'],
		['a name that climbs out', mediaTypes.ociLayer, tarOf([{name: '../outside', body: 'x'}]), 'INVALID_ARGUMENT'],
		['a name that climbs out on the way', mediaTypes.ociLayer, tarOf([{name: 'a/../../outside', body: 'x'}]), 'INVALID_ARGUMENT'],
		['a hard link that climbs out', mediaTypes.ociLayer, tarOf([{name: 'stolen', type: 'link', linkName: '../outside'}]), 'INVALID_ARGUMENT'],
		['a hard link to nothing', mediaTypes.ociLayer, tarOf([{name: 'a', type: 'link', linkName: 'nothing'}]), 'INVALID_ARGUMENT'],
		['a file below a file', mediaTypes.ociLayer, tarOf([{name: 'a'}, {name: 'a/b'}]), 'INVALID_ARGUMENT'],
		['another media type', 'application/vnd.oci.image.config.v1+json', tar, 'UNIMPLEMENTED'],
		['another compression', 'application/vnd.oci.image.layer.v1.tar+xz', tar, 'UNIMPLEMENTED'],
		['an encrypted layer', 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted', tar, 'UNIMPLEMENTED'],
	];
	for (const [what, mediaType, bytes, code] of cases) {
		test(`${name}: ${what} is refused with ${code}, by file and by bytes`, async t => {
			await using differ = await create();
			await using place = await Workplace.open();
			await writeFile(place.at('outside'), 'mine');
			await t.throwsAsync(differ.apply(layerOf(bytes, mediaType), await place.bind('a')), {code});
			await t.throwsAsync(differ.apply(await place.file(bytes, mediaType), await place.bind('b')), {code});
			t.is(await readFile(place.at('outside'), 'utf8'), 'mine');
			t.is((await stat(place.at('outside'))).nlink, 1);
			await differ.apply(layerOf(tar), await place.bind('c'));
		});
	}

	test(`${name}: a source that fails fails the layer, with its own error`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const layer = {...layerOf(tar), async * read() {
			yield tar.subarray(0, 100_000);
			throw new Error('the source broke');
		}};
		await t.throwsAsync(differ.apply(layer, await place.bind('root')), {message: /the source broke/});
	});

	test(`${name}: an abort ends the work at once, and releases the source`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const abort = new AbortController();
		const waiting = Promise.withResolvers<void>();
		let isReleased = false;
		const layer = {...layerOf(tar), async * read(signal?: AbortSignal) {
			try {
				yield tar.subarray(0, 100_000);
				waiting.resolve();
				await sleep(60_000, undefined, {signal});
			} finally {
				isReleased = true;
			}
		}};
		const applied = differ.apply(layer, await place.bind('root'), {signal: abort.signal});
		await Promise.race([waiting.promise, applied]);
		const abortedMs = performance.now();
		abort.abort();
		await t.throwsAsync(applied);
		t.true(performance.now() - abortedMs < 5000);
		t.true(isReleased);
		await differ.apply(layerOf(tar), await place.bind('other'));
	});

	test(`${name}: a read-only tree is refused`, async t => {
		await using differ = await create();
		await using place = await Workplace.open();
		const [mount] = await place.bind('root');
		await t.throwsAsync(differ.apply(layerOf(tar), mount === undefined ? [] : [{...mount, options: ['ro', 'rbind']}]), {code: 'FAILED_PRECONDITION'});
		t.deepEqual(await readdir(place.at('root')), []);
	});
}
