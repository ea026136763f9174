import {lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import type {ExecutionContext} from 'ava';
import {encodeTarHeader, endMark, padding, type WrittenEntry} from '../../lib/tar/tar-writer.ts';
import {TarReader} from '../../lib/tar/tar-reader.ts';
import type {CopyOptions, CopyPlace, TreeCopy} from './copy.ts';

type SuiteTest = (title: string, body: (t: ExecutionContext) => Promise<void>) => void;

export interface CopySubject {
	readonly name: string;
	/** Disposing it fails where something of its own is left. */
	create(): Promise<TreeCopy & AsyncDisposable>;
}

type Entry = Pick<WrittenEntry, 'type'> & {readonly name: string; readonly body?: string; readonly link?: string} & Partial<Pick<WrittenEntry, 'mode' | 'uid' | 'gid'>>;

/** Every implementation passes this. */
export function copySuite(test: SuiteTest, {name, create}: CopySubject): void {
	const story = (title: string, tell: (t: ExecutionContext, copy: TreeCopy, place: Place) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using copy = await create();
			await using place = await Place.open();
			await tell(t, copy, place);
		});
	};

	story('a file, a directory and what is in it come out under their own names', async (t, copy, place) => {
		await place.fill();
		t.deepEqual(await place.names(copy, 'etc/hosts'), ['hosts']);
		t.deepEqual(await place.names(copy, '/etc'), ['etc/', 'etc/conf.d/', 'etc/conf.d/a', 'etc/hosts', 'etc/out']);
		t.deepEqual(await place.names(copy, '/etc/.'), ['./', './conf.d/', './conf.d/a', './hosts', './out']);
		t.deepEqual(await place.names(copy, '/etc', {walks: false}), ['etc/']);
		t.true((await place.names(copy, '/')).includes('./etc/hosts'));
	});

	story('a link at the end is itself, unless a slash comes after it; one on the way is followed', async (t, copy, place) => {
		await place.fill();
		t.deepEqual(await place.names(copy, 'to-etc'), ['to-etc']);
		t.deepEqual(await place.names(copy, 'to-etc/', {walks: false}), ['to-etc/']);
		t.deepEqual(await place.names(copy, 'to-etc/hosts'), ['hosts']);
	});

	story('what is copied out and in again is the same', async (t, copy, place) => {
		await place.fill();
		await mkdir(path.join(place.root, 'new'));
		await copy.unpack(await copy.pack(place.at('etc')), place.at('new'));
		t.deepEqual((await readdir(path.join(place.root, 'new/etc'))).toSorted(), ['conf.d', 'hosts', 'out']);
		t.is(await readFile(path.join(place.root, 'new/etc/hosts'), 'utf8'), 'localhost\n');
		t.is((await stat(path.join(place.root, 'new/etc/conf.d'))).mode & 0o7777, 0o750);
		const [before, after] = await Promise.all(['etc/conf.d/a', 'new/etc/conf.d/a'].map(async file => lstat(path.join(place.root, file))));
		t.deepEqual([after?.mode, after?.mtimeMs], [before?.mode, before?.mtimeMs]);
	});

	story('files replace files, directories are joined, and neither takes the place of the other', async (t, copy, place) => {
		await place.fill();
		await place.unpack(copy, [{name: 'conf.d/', type: 'directory', mode: 0o700}, {name: 'conf.d/b', type: 'file', body: 'b'}, {name: 'hosts', type: 'file', body: 'new\n'}], 'etc');
		t.deepEqual((await readdir(path.join(place.root, 'etc/conf.d'))).toSorted(), ['a', 'b']);
		t.is(await readFile(path.join(place.root, 'etc/hosts'), 'utf8'), 'new\n');
		await t.throwsAsync(place.unpack(copy, [{name: 'conf.d', type: 'file', body: 'no'}], 'etc'), {code: 'FAILED_PRECONDITION', message: /conf\.d/});
		await t.throwsAsync(place.unpack(copy, [{name: 'hosts/', type: 'directory'}], 'etc'), {code: 'FAILED_PRECONDITION', message: /hosts/});
		t.deepEqual((await readdir(path.join(place.root, 'etc/conf.d'))).toSorted(), ['a', 'b']);
	});

	story('a name that a layer would take for a whiteout is a name', async (t, copy, place) => {
		await place.fill();
		await place.unpack(copy, [{name: '.wh.hosts', type: 'file', body: 'x'}, {name: 'conf.d/.wh..wh..opq', type: 'file'}], 'etc');
		t.is(await readFile(path.join(place.root, 'etc/.wh.hosts'), 'utf8'), 'x');
		t.deepEqual((await readdir(path.join(place.root, 'etc/conf.d'))).toSorted(), ['.wh..wh..opq', 'a']);
		t.is(await readFile(path.join(place.root, 'etc/hosts'), 'utf8'), 'localhost\n');
	});

	story('whatever links say, nothing outside of the root is read or written', async (t, copy, place) => {
		await place.fill();
		await writeFile(path.join(place.outside, 'secret'), 'secret');
		await symlink(place.outside, path.join(place.root, 'absolute'));
		await symlink(`../../../../../../../..${place.outside}`, path.join(place.root, 'climbing'));
		for (const link of ['absolute', 'climbing']) {
			await t.throwsAsync(place.names(copy, `${link}/secret`), {code: 'NOT_FOUND'}, link);
			await t.throwsAsync(place.unpack(copy, [{name: 'planted', type: 'file'}], link), {code: 'NOT_FOUND'}, link);
		}
		t.deepEqual(await place.names(copy, '../../etc/hosts'), ['hosts']);
		// Links of the archive itself, and names that climb.
		await place.unpack(copy, [{name: 'lead', type: 'symlink', link: place.outside}, {name: 'lead/planted', type: 'file', body: 'x'}], 'etc');
		await t.throwsAsync(place.unpack(copy, [{name: '../hosts', type: 'file'}], 'etc'), {code: 'INVALID_ARGUMENT', message: /outside/});
		await t.throwsAsync(place.unpack(copy, [{name: 'hard', type: 'link', link: '../secret'}], 'etc'), {code: 'INVALID_ARGUMENT', message: /outside/});
		await t.throwsAsync(place.unpack(copy, [{name: 'hard', type: 'link', link: 'lead/secret'}], 'etc'));
		t.deepEqual(await readdir(place.outside), ['secret']);
		// The link led to a place of that name within the root.
		t.is(await readFile(path.join(place.root, place.outside, 'planted'), 'utf8'), 'x');
	});

	story('what is not there, and what is no directory, is said', async (t, copy, place) => {
		await place.fill();
		await t.throwsAsync(place.names(copy, 'nowhere'), {code: 'NOT_FOUND', message: /"nowhere"/});
		await t.throwsAsync(place.names(copy, 'etc/hosts/x'), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(place.unpack(copy, [], 'nowhere'), {code: 'NOT_FOUND'});
		await t.throwsAsync(place.unpack(copy, [], 'etc/hosts'), {code: 'INVALID_ARGUMENT'});
	});

	story('owners are root\'s, or as they are, as a user namespace knows them', async (t, copy, place) => {
		await place.fill();
		const ids = {uids: [{inside: 0, outside: 100_000, size: 1000}], gids: [{inside: 0, outside: 200_000, size: 1000}]};
		const entries: readonly Entry[] = [{name: 'mine', type: 'file', uid: 7, gid: 8}, {name: 'deep/er', type: 'file', uid: 7, gid: 8}];
		const ownersOf = async (file: string): Promise<readonly number[]> => {
			const {uid, gid} = await lstat(path.join(place.root, file));
			return [uid, gid];
		};
		await place.unpack(copy, entries, 'etc');
		t.deepEqual(await ownersOf('etc/mine'), [0, 0]);
		await place.unpack(copy, entries, 'etc', {keepsOwners: true});
		t.deepEqual(await ownersOf('etc/mine'), [7, 8]);
		await place.unpack(copy, entries, 'var', {}, ids);
		t.deepEqual([await ownersOf('var/mine'), await ownersOf('var/deep')], [[100_000, 200_000], [100_000, 200_000]]);
		await place.unpack(copy, entries, 'var', {keepsOwners: true}, ids);
		t.deepEqual(await ownersOf('var/mine'), [100_007, 200_008]);
		await t.throwsAsync(place.unpack(copy, [{name: 'x', type: 'file', uid: 5000}], 'var', {keepsOwners: true}, ids), {code: 'INVALID_ARGUMENT', message: /5000/});
		t.deepEqual(await place.owners(copy, 'var/mine', {keepsOwners: true}, ids), [[7, 8]]);
		t.deepEqual(await place.owners(copy, 'var/mine', {}, ids), [[0, 0]]);
		t.deepEqual(await place.owners(copy, 'etc/hosts', {keepsOwners: true}, ids), [[65_534, 65_534]]);
	});

	story('an archive that is cut short, is none, or is compressed is seen for what it is', async (t, copy, place) => {
		await place.fill();
		const archive = tarOf([{name: 'a', type: 'file', body: 'a'.repeat(5000)}]);
		await t.throwsAsync(copy.unpack(inPieces(archive.subarray(0, 3000)), place.at('etc')), {code: 'DATA_LOSS'});
		await t.throwsAsync(copy.unpack(inPieces(Buffer.alloc(4096, 'x')), place.at('etc')), {code: 'INVALID_ARGUMENT'});
		await copy.unpack(inPieces(gzipSync(archive)), place.at('etc'));
		t.is((await stat(path.join(place.root, 'etc/a'))).size, 5000);
		await copy.unpack(inPieces(Buffer.alloc(0)), place.at('etc'));
	});

	story('a copy that is left early, and one that stalls, end', async (t, copy, place) => {
		await place.fill();
		await writeFile(path.join(place.root, 'large'), Buffer.alloc(8_000_000));
		for await (const chunk of await copy.pack(place.at('large'))) {
			t.true(chunk.length > 0);
			break;
		}
		const stop = new AbortController();
		// As bytes from a client do it.
		const stalling = (async function* () {
			yield tarOf([{name: 'a', type: 'file', body: 'a'.repeat(5000)}]).subarray(0, 1024);
			await new Promise((_resolve, reject) => {
				stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error));
				setTimeout(() => stop.abort(new Error('enough of it')), 200);
			});
		})();
		await t.throwsAsync(copy.unpack(stalling, place.at('etc'), {signal: stop.signal}), {message: 'enough of it'});
		await t.throwsAsync(copy.unpack((async function* () {
			yield Buffer.alloc(512);
			throw new Error('the source is gone');
		})(), place.at('etc')), {message: /the source is gone/});
		await t.throwsAsync(copy.pack(place.at('etc'), {signal: AbortSignal.abort()}));
	});
}

/** A tree with some files, and a directory beside it. */
class Place implements AsyncDisposable {
	readonly directory: string;

	private constructor(directory: string) {
		this.directory = directory;
	}

	static async open(): Promise<Place> {
		const place = new Place(await mkdtemp(path.join(tmpdir(), 'keelson-copy-')));
		await mkdir(place.root);
		await mkdir(place.outside);
		return place;
	}

	get root(): string {
		return path.join(this.directory, 'root');
	}

	get outside(): string {
		return path.join(this.directory, 'outside');
	}

	at(inner: string, ids?: CopyPlace['ids']): CopyPlace {
		return {tree: {root: this.root}, path: inner, ...(ids === undefined ? {} : {ids})};
	}

	async fill(): Promise<void> {
		await mkdir(path.join(this.root, 'etc/conf.d'), {recursive: true, mode: 0o750});
		await mkdir(path.join(this.root, 'var'));
		await mkdir(path.join(this.root, this.outside), {recursive: true});
		await rm(path.join(this.root, this.outside), {recursive: true});
		await writeFile(path.join(this.root, 'etc/hosts'), 'localhost\n', {mode: 0o600});
		await writeFile(path.join(this.root, 'etc/conf.d/a'), 'a', {mode: 0o4711});
		await symlink('../../../../nowhere', path.join(this.root, 'etc/out'));
		await symlink('/etc', path.join(this.root, 'to-etc'));
	}

	async unpack(copy: TreeCopy, entries: readonly Entry[], inner: string, options: CopyOptions = {}, ids?: CopyPlace['ids']): Promise<void> {
		await copy.unpack(inPieces(tarOf(entries)), this.at(inner, ids), options);
	}

	async names(copy: TreeCopy, inner: string, options: Parameters<TreeCopy['pack']>[1] = {}): Promise<string[]> {
		return (await this.#entries(copy, inner, options)).map(entry => entry.name);
	}

	async owners(copy: TreeCopy, inner: string, options: CopyOptions, ids: CopyPlace['ids']): Promise<readonly (readonly number[])[]> {
		return (await this.#entries(copy, inner, options, ids)).map(({uid, gid}) => [uid, gid]);
	}

	async #entries(copy: TreeCopy, inner: string, options: Parameters<TreeCopy['pack']>[1], ids?: CopyPlace['ids']): Promise<{name: string; uid: number; gid: number}[]> {
		const entries: {name: string; uid: number; gid: number}[] = [];
		const reader = new TarReader({
			entry: ({name, uid, gid}) => void entries.push({name: name.toString(), uid, gid}), data: () => undefined, entryEnd: () => undefined,
		});
		for await (const chunk of await copy.pack(this.at(inner, ids), options)) {
			reader.push(Buffer.from(chunk));
		}
		reader.end();
		return entries;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(this.directory, {recursive: true, force: true});
	}
}

function tarOf(entries: readonly Entry[]): Buffer {
	return Buffer.concat([...entries.flatMap(({name, type, body = '', link = '', mode = 0o644, uid = 0, gid = 0}) => [
		encodeTarHeader({name: Buffer.from(name), type, mode, uid, gid, size: body.length, mtimeNs: 1_700_000_000_000_000_000n, linkName: Buffer.from(link), device: {major: 0, minor: 0}, attributes: []}),
		Buffer.from(body), padding(body.length),
	]), endMark]);
}

async function * inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
	for (let at = 0; at < bytes.length; at += 700) {
		yield bytes.subarray(at, at + 700);
	}
}
