import {tar, type TarEntry} from './tar-writer.ts';
import {layer, type Layer} from './oci-image.ts';

const directory = (name: string, more: Partial<TarEntry> = {}): TarEntry => ({name: `${name}/`, type: 'directory', ...more});
const file = (name: string, body = `${name}\n`, more: Partial<TarEntry> = {}): TarEntry => ({name, body, ...more});
const whiteout = (name: string): TarEntry => file(name.replace(/[^\/]+$/v, last => `.wh.${last}`), '');
const opaque = (name: string): TarEntry => file(`${name}/.wh..wh..opq`, '');
const long = 'n'.repeat(120);
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

// VFS_CAP_REVISION_3 with a root id above 0x7f in every byte: capabilities(7), "File capability extended attribute versioning".
const capability = Buffer.alloc(24);
capability.writeUInt32LE(0x0300_0001, 0);
capability.writeUInt32LE(0x8000_2081, 4);
capability.writeUInt32LE(0x80FF, 12);
capability.writeUInt32LE(0x00FE_DCBA, 20);

/** The first layer, in pax: what later layers hide, replace and add to, and every kind of entry. */
const base: readonly TarEntry[] = [
	directory('bin'), directory('etc', {mtime: '946684798'}), file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n'),
	directory('tmp', {mode: 0o1777}), directory('proc'), directory('sys'), directory('dev'),
	// Kinds and modes.
	directory('kinds', {mtime: '1600000000.999999999'}),
	file('kinds/setuid', 'x', {mode: 0o4755}), file('kinds/setgid', 'x', {mode: 0o2755}), file('kinds/all', 'x', {mode: 0o7777}),
	file('kinds/none', 'x', {mode: 0}), file('kinds/owned', 'x', {uid: 1234, gid: 4321, mode: 0o4750}),
	file('kinds/far-owner', 'x', {uid: 3_000_000, gid: 3_000_001}), directory('kinds/setgid-directory', {mode: 0o2775, gid: 50}),
	file('kinds/empty', ''), {name: 'kinds/fifo', type: 'fifo', mode: 0o640},
	{name: 'kinds/null', type: 'char', device: [1, 3], mode: 0o666}, {name: 'kinds/block', type: 'block', device: [7, 200], mode: 0o660, gid: 6},
	{name: 'kinds/wide-device', type: 'char', device: [300, 70_000]},
	{name: 'kinds/dangling', type: 'symlink', link: '../nowhere', mtime: '1234567890'}, {name: 'kinds/absolute', type: 'symlink', link: '/etc/passwd', uid: 1000, gid: 1000},
	{name: 'kinds/climbing', type: 'symlink', link: '../../../../../../etc/passwd'}, {name: 'kinds/long-link', type: 'symlink', link: `${long}/${long}`},
	// Times.
	directory('times'), file('times/old', 'x', {mtime: '946684798'}), file('times/nanoseconds', 'x', {mtime: '1600000000.123456789'}),
	file('times/short-fraction', 'x', {mtime: '1600000000.5'}), file('times/negative', 'x', {mtime: '-12345.5'}), file('times/zero', 'x', {mtime: '0'}),
	file('times/far', 'x', {mtime: '4294967299'}),
	// Names.
	directory('names'), file('names/spaces and "quotes" \'too\' \\ back'), file('names/grüße-日本語-🚢'), {name: latin1('names/caf\u00E9-\u00FF'), body: 'latin1\n'},
	file('names/new\nline'), file('names/-dash'), file('names/...'), file('names/.hidden'), file(`names/${long}`), directory(`names/${long}d`), directory(`names/${long}d/${long}`),
	file(`names/${long}d/${long}/${long}`), file(`names/${'m'.repeat(255)}`), file('./names/./dotted//slashes'),
	// Extended attributes.
	directory('xattrs', {pax: {'SCHILY.xattr.user.dir': 'on a directory'}}), file('xattrs/note', 'x', {pax: {'SCHILY.xattr.user.note': 'hello', 'SCHILY.xattr.user.empty': ''}}),
	file('xattrs/binary', 'x', {pax: {'SCHILY.xattr.user.binary': Buffer.from([0xFF, 0xFE, 0x80, 0x0A, 0x3D, 0xC3, 0x28])}}),
	file('xattrs/capable', 'x', {mode: 0o755, pax: {'SCHILY.xattr.security.capability': capability}}),
	file('xattrs/capable-and-owned', 'x', {mode: 0o755, uid: 1234, gid: 1234, pax: {'SCHILY.xattr.security.capability': capability}}),
	// Hardlinks.
	directory('hard'), file('hard/a', 'shared\n'), {name: 'hard/b', type: 'hardlink', link: 'hard/a'}, {name: 'hard/c', type: 'hardlink', link: './hard/a'},
	{name: 'hard/symlink', type: 'symlink', link: 'a'}, {name: 'hard/to-symlink', type: 'hardlink', link: 'hard/symlink'},
	directory('hard/far'), {name: 'hard/far/d', type: 'hardlink', link: 'hard/b'},
	// For the layers above.
	file('gone-file'), directory('gone-directory'), file('gone-directory/a'), directory('gone-directory/b'), file('gone-directory/b/c'),
	directory('opaque', {uid: 7, mode: 0o751}), file('opaque/x'), directory('opaque/sub'), file('opaque/sub/z'),
	directory('opaque-late'), file('opaque-late/x'), directory('opaque-empty'), file('opaque-empty/x'),
	file('file-to-directory'), directory('directory-to-link'), file('directory-to-link/inside'), directory('directory-to-file'), file('directory-to-file/inside'),
	{name: 'link-to-file', type: 'symlink', link: 'etc/passwd'}, {name: 'link-to-directory', type: 'symlink', link: 'etc'}, {name: 'fifo-to-file', type: 'fifo'},
	directory('implicit', {mode: 0o700, uid: 42, gid: 43, mtime: '1500000000', pax: {'SCHILY.xattr.user.kept': 'yes'}}), directory('implicit/below', {mode: 0o2711, gid: 44}), file('implicit/below/stays'),
	directory('remade', {mode: 0o711, mtime: '1400000000'}), file('remade/stays'),
	file('rewritten', 'first\n', {mode: 0o4711, pax: {'SCHILY.xattr.user.note': 'first'}}), file('remoded'),
	directory('deep'), directory('deep/1'), directory('deep/1/2'), directory('deep/1/2/3'), file('deep/1/2/3/x'), file('deep/1/2/3/y'),
];

/** The second, in GNU's dialect: whiteouts, opaque directories, replacements. (containerd refuses its sparse type, S.) */
const changes: readonly TarEntry[] = [
	whiteout('gone-file'), whiteout('gone-directory'), whiteout('deep/1/2/3/x'), whiteout('never-was'),
	directory('opaque', {mode: 0o755}), opaque('opaque'), file('opaque/new'), directory('opaque/sub'), file('opaque/sub/new'),
	directory('opaque-late'), file('opaque-late/kept'), opaque('opaque-late'), directory('opaque-empty'), opaque('opaque-empty'),
	directory('file-to-directory'), file('file-to-directory/inside'), {name: 'directory-to-link', type: 'symlink', link: 'etc'}, file('directory-to-file'),
	file('link-to-file', 'no link\n'), directory('link-to-directory'), file('link-to-directory/inside'), file('fifo-to-file'),
	// The parents are not in this layer: they keep what the layer below says of them.
	file('implicit/below/added', 'x'), file('wholly/new/parents', 'x'),
	directory('remade', {mode: 0o1777, uid: 5, mtime: '1450000000'}),
	file('rewritten', 'second, and longer\n'), file('remoded', 'remoded\n', {mode: 0o2600, uid: 9}),
	file('hard/a', 'no longer shared\n'), {name: 'hard/e', type: 'hardlink', link: 'hard/a'},
	file(`gnu/${long}/${long}`), {name: 'gnu/link', type: 'symlink', link: `${long}/${long}`}, {name: latin1('gnu/\u00E4'), body: 'x'},
	file('gnu/far-owner', 'x', {uid: 3_000_000, gid: 3_000_001}),
];

/** The third, in pax: more replacement, a sparse file in pax's notation, the same name twice. */
const more: readonly TarEntry[] = [
	{name: 'pax/sparse', sparse: {size: 200_000, extents: [{offset: 8192, bytes: Buffer.from('pax')}, {offset: 199_997, bytes: Buffer.from('end')}]}},
	{name: 'pax/many-extents', sparse: {size: 130_000, extents: Array.from({length: 30}, (_, at) => ({offset: at * 4096, bytes: Buffer.from(`extent ${at}`)}))}},
	{name: 'pax/all-hole', sparse: {size: 70_000, extents: []}},
	file('twice', 'first\n', {mode: 0o4755}), file('twice', 'second\n', {mode: 0o600}),
	{name: 'twice-link', type: 'symlink', link: 'etc'}, file('twice-link', 'no link any more\n'),
	directory('twice-directory', {mode: 0o700}), file('twice-directory/kept'), directory('twice-directory', {mode: 0o755, mtime: '1300000000'}),
	directory('opaque'), file('opaque/third'), whiteout('opaque/new'), whiteout('link-to-directory'), file('gone-file', 'back again\n'),
	directory('gone-directory'), file('gone-directory/reborn'),
	directory('many'), ...Array.from({length: 200}, (_, at) => file(`many/f${at}`)), ...Array.from({length: 50}, (_, at): TarEntry => ({name: `many/l${at}`, type: 'hardlink', link: `many/f${at}`})),
	file('big', 'keelson '.repeat(40_000)),
];

/** The last, in plain ustar, with a long path cut at a slash, and directories after what they hold. */
const last: readonly TarEntry[] = [
	file(`ustar/${'p'.repeat(90)}/${'q'.repeat(90)}`, 'x'), directory('ustar', {mode: 0o500, mtime: '1200000000'}),
	whiteout('many/f0'), whiteout('many/l1'), directory('times', {mtime: '1100000000'}), {name: 'etc-link', type: 'symlink', link: 'etc'},
];

/** Five layers that hold every oddity that an image can have; `shell` is what makes it a runnable image. */
export function oddLayers(shell: readonly TarEntry[]): Layer[] {
	return [
		layer(tar([...base, ...shell], 'pax'), 'gzip'),
		layer(tar(changes, 'gnu'), 'gzip'),
		layer(tar(more, 'pax'), 'zstd'),
		layer(tar([], 'pax'), 'gzip'),
		layer(tar(last, 'ustar'), 'none'),
	];
}
