import * as fc from 'fast-check';
import {tar, type Dialect, type TarEntry} from './tar-writer.ts';

/** A layer as fast-check makes them up. */
export interface GeneratedLayer {
	readonly entries: readonly TarEntry[];
	readonly dialect: Dialect;
}

// Few names, so that layers meet: the last two are longer than a header's field, and no UTF-8.
const names = ['a', 'b', 'c', 'd', 'n'.repeat(110), 'caf\u00E9\u00FF'];
const paths = fc.array(fc.constantFrom(...names), {minLength: 1, maxLength: 3}).map(parts => parts.join('/'));

// VFS_CAP_REVISION_2 with bytes above 0x7f: capabilities(7), "File capability extended attribute versioning".
const capability = Buffer.from('010000028000002080000000000000000000f0ff'.padEnd(40, '0'), 'hex');

const described = fc.record({
	mode: fc.constantFrom(0o644, 0o755, 0o4711, 0o2755, 0o1777, 0o600),
	uid: fc.constantFrom(0, 7, 1000, 70_000),
	gid: fc.constantFrom(0, 8, 1000),
	mtime: fc.constantFrom('1000000000', '1234567890', '1500000000.123456789'),
});
const noted = fc.constantFrom<TarEntry['pax']>(undefined, undefined, {'SCHILY.xattr.user.note': Buffer.from([0xFF, 0x80, 1])}, {'SCHILY.xattr.user.other': 'x'});
const bytes = fc.constantFrom('', 'x', 'some bytes\n', 'keelson '.repeat(2000));

const files = fc.tuple(paths, described, noted, bytes, fc.boolean()).map(([name, more, pax, body, isCapable]): TarEntry => ({
	name, ...more, body, ...isCapable ? {pax: {...pax, 'SCHILY.xattr.security.capability': capability}} : pax === undefined ? {} : {pax},
}));
const directories = fc.tuple(paths, described, noted).map(([name, more, pax]): TarEntry => ({name: `${name}/`, type: 'directory', ...more, ...pax === undefined ? {} : {pax}}));
const symlinks = fc.tuple(paths, paths, described, fc.constantFrom('', '/', '../', '../../../')).map(([name, target, {mtime, uid}, up]): TarEntry => ({name, type: 'symlink', link: `${up}${target}`, mtime, uid}));
const hardlinks = fc.tuple(paths, paths, described).map(([name, link, more]): TarEntry => ({name, type: 'hardlink', link, ...more}));
const nodes = fc.tuple(paths, described, fc.constantFrom<TarEntry>({name: '', type: 'fifo'}, {name: '', type: 'char', device: [1, 3]}, {name: '', type: 'block', device: [7, 200]})).map(([name, more, node]): TarEntry => ({...node, ...more, name}));
const whiteouts = paths.map((name): TarEntry => ({name: name.replace(/[^\/]+$/v, last => `.wh.${last}`), body: ''}));
const opaques = paths.map((name): TarEntry => ({name: `${name}/.wh..wh..opq`, body: ''}));
// In whole blocks, and with bytes at the end, as GNU tar has them: it reads no others as anybody else does.
const sparse = fc.tuple(paths, described).map(([name, more]): TarEntry => ({
	name, ...more, sparse: {size: 100_000, extents: [{offset: 4096, bytes: Buffer.alloc(512, 'here')}, {offset: 99_991, bytes: Buffer.from('and there')}]},
}));

const plain = [{arbitrary: files, weight: 6}, {arbitrary: directories, weight: 5}, {arbitrary: symlinks, weight: 2}, {arbitrary: nodes, weight: 1}, {arbitrary: sparse, weight: 1}] as const;
const layered = [...plain, {arbitrary: hardlinks, weight: 2}, {arbitrary: whiteouts, weight: 3}, {arbitrary: opaques, weight: 2}] as const;

/** One layer after the other of an image: whiteouts, opaque directories, links to what other layers have, parents absent, types replaced. */
export const generatedImages = fc.array(layersOf(fc.array(fc.oneof(...layered), {maxLength: 12})), {minLength: 2, maxLength: 5});

/** The same with each name once in a layer: a name that comes twice is not the same to everybody. */
export const generatedPlainImages = generatedImages.map(image => image.map(one => {
	const seen = new Set<string>();
	return {...one, entries: one.entries.filter(({name}) => {
		const path = String(name).replace(/\/$/v, '').replace('.wh.', '');
		const isNew = !seen.has(path);
		seen.add(path);
		return isNew;
	})};
}));

/** A tar that any program can unpack alone, each name once, parents first. */
export const generatedTars = layersOf(fc.array(fc.oneof(...plain), {maxLength: 25})).map(one => ({...one, entries: inOrder(one.entries)}));

export function tarOfGenerated({entries, dialect}: GeneratedLayer): Buffer {
	return tar(entries.map(entry => ({...entry, name: Buffer.from(String(entry.name), 'latin1'), ...entry.link === undefined ? {} : {link: Buffer.from(String(entry.link), 'latin1')}})), dialect);
}

/** ustar has neither long parts, nor attributes, nor fractions; GNU's dialect has no attributes. */
function layersOf(entries: fc.Arbitrary<readonly TarEntry[]>): fc.Arbitrary<GeneratedLayer> {
	return fc.tuple(entries, fc.constantFrom<Exclude<Dialect, 'star'>>('pax', 'pax', 'gnu', 'ustar')).map(([all, dialect]) => {
		const whole = (entry: TarEntry): TarEntry => ({...entry, ...entry.mtime === undefined ? {} : {mtime: entry.mtime.split('.')[0] ?? ''}});
		switch (dialect) {
			case 'pax': {
				return {entries: all, dialect};
			}
			case 'gnu': {
				return {entries: all.filter(({pax, sparse: map}) => pax === undefined && map === undefined).map(whole), dialect};
			}
			case 'ustar': {
				return {entries: all.filter(({name, link = '', pax, sparse: map}) => name.length < 90 && link.length < 90 && pax === undefined && map === undefined).map(whole), dialect};
			}
		}
	});
}

// What is in a directory follows it at once: GNU tar sets its time when anything else comes.
function inOrder(entries: readonly TarEntry[]): readonly TarEntry[] {
	const isDirectory = new Map<string, boolean>();
	const key = ({name}: TarEntry): string => String(name).replaceAll('/', '\0');
	return entries.toSorted((one, other) => key(one) < key(other) ? -1 : 1).filter(({name, type}) => {
		const path = String(name).replace(/\/$/v, '');
		const above = path.split('/').slice(0, -1).map((_, at, parts) => parts.slice(0, at + 1).join('/'));
		if (isDirectory.has(path) || above.some(parent => isDirectory.get(parent) !== true)) {
			return false;
		}
		isDirectory.set(path, type === 'directory');
		return true;
	});
}
