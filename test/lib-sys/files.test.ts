import {constants, closeSync, lstatSync, openSync, readdirSync, readSync} from 'node:fs';
import {lstat, mkdir, symlink, writeFile} from 'node:fs/promises';
import test from 'ava';
import {
	AT, changeMode, changeModeAt, changeOwnerAt, changeTimesAt, Descriptor, makeDevice, makeDirectoryAt, makeLinkAt, makeNodeAt, makeSymlinkAt, O_PATH, openAt,
	readLinkAt, removeDirectoryAt, RENAME, renameAt, RESOLVE, unlinkAt,
} from '../../lib/sys/at.ts';
import {getAttribute, listAttributes, removeAttribute, setAttribute} from '../../lib/sys/extended-attributes.ts';
import {closeFile, writeAt} from '../../lib/sys/file-bytes.ts';
import {fileSystemStatus, makeFifo, syncDirectory, syncFileSystem, tryLockFile, unlockFile, MAGIC} from '../../lib/sys/file-system.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {AT_FDCWD, errnoOf} from '../../lib/sys/libc.ts';
import {countDescriptors, scratch} from './scratch.ts';

const latin1 = Buffer.from('caf\u00e9 \u00ff', 'latin1');

function openDirectory(path: string): Descriptor {
	return new Descriptor(openAt(AT_FDCWD, path, {flags: constants.O_RDONLY | constants.O_DIRECTORY}));
}

test('a path stays within its root whatever the links say', async t => {
	await using dir = await scratch();
	await mkdir(`${dir.path}/root/etc`, {recursive: true});
	await writeFile(`${dir.path}/root/etc/passwd`, 'inside');
	await symlink('/etc/../../../etc', `${dir.path}/root/link`);
	using root = openDirectory(`${dir.path}/root`);
	using file = new Descriptor(openAt(root.fd, 'link/passwd', {flags: constants.O_RDONLY, resolve: RESOLVE.IN_ROOT}));
	t.is(statusAt(file.fd, '').ino, statusAt(root.fd, 'etc/passwd').ino);
	t.is(errnoOf(t.throws(() => openAt(root.fd, 'link/passwd', {flags: O_PATH, resolve: RESOLVE.BENEATH}))), 'EXDEV');
	t.is(errnoOf(t.throws(() => openAt(root.fd, 'link/passwd', {flags: O_PATH, resolve: RESOLVE.NO_SYMLINKS}))), 'ELOOP');
	t.is(errnoOf(t.throws(() => openAt(root.fd, 'a\0b', {flags: O_PATH}))), undefined);
});

test('names that are no UTF-8 are made, linked, renamed, read and removed as bytes', async t => {
	await using dir = await scratch();
	using at = openDirectory(dir.path);
	makeDirectoryAt(at.fd, latin1, 0o700);
	using inner = new Descriptor(openAt(at.fd, latin1, {flags: O_PATH | constants.O_DIRECTORY}));
	makeSymlinkAt(latin1, inner.fd, 'link');
	t.deepEqual(readLinkAt(inner.fd, 'link'), latin1);
	makeLinkAt(inner.fd, 'link', inner.fd, latin1);
	t.is(statusAt(inner.fd, latin1).nlink, 2);
	renameAt(inner.fd, latin1, inner.fd, 'plain', RENAME.NOREPLACE);
	t.is(errnoOf(t.throws(() => renameAt(inner.fd, 'link', inner.fd, 'plain', RENAME.NOREPLACE))), 'EEXIST');
	t.deepEqual(readdirSync(Buffer.concat([Buffer.from(`${dir.path}/`), latin1]), {encoding: 'buffer'}).map(String).toSorted(), ['link', 'plain']);
	unlinkAt(inner.fd, 'link');
	unlinkAt(inner.fd, 'plain');
	removeDirectoryAt(at.fd, latin1);
	t.is(errnoOf(t.throws(() => statusAt(at.fd, latin1))), 'ENOENT');
});

test('a name longer than any path is refused as the kernel refuses it, and the last that fits is passed on', async t => {
	await using dir = await scratch();
	using at = openDirectory(dir.path);
	t.is(errnoOf(t.throws(() => makeDirectoryAt(at.fd, 'n'.repeat(4096), 0o700))), 'ENAMETOOLONG');
	t.is(errnoOf(t.throws(() => makeDirectoryAt(at.fd, 'n'.repeat(256), 0o700))), 'ENAMETOOLONG');
	const target = Buffer.alloc(4095, 't');
	makeSymlinkAt(target, at.fd, 'n'.repeat(255));
	t.deepEqual(readLinkAt(at.fd, 'n'.repeat(255)), target);
	makeDirectoryAt(at.fd, 'short', 0o700);
	t.deepEqual(readdirSync(dir.path).toSorted(), ['n'.repeat(255), 'short']);
});

test('bytes are written to their places, from memory of any kind', async t => {
	await using dir = await scratch();
	const path = `${dir.path}/file`;
	using file = new Descriptor(openAt(AT_FDCWD, path, {flags: constants.O_RDWR | constants.O_CREAT, mode: 0o600}));
	const large = Buffer.allocUnsafeSlow(100_000).fill('l');
	const shared = Buffer.from(new SharedArrayBuffer(1000)).fill('s');
	writeAt(file.fd, large.subarray(10, 20), 5);
	writeAt(file.fd, large.subarray(50_000, 50_003), 20);
	writeAt(file.fd, shared.subarray(990), 30);
	writeAt(file.fd, Buffer.from('pooled'), 0);
	writeAt(file.fd, new Uint8Array([0x68, 0x65, 0x61, 0x70]).subarray(1), 40);
	writeAt(file.fd, Buffer.alloc(0), 50);
	writeAt(file.fd, Buffer.from('far'), 6 * 2 ** 30);
	const head = Buffer.alloc(48);
	readSync(file.fd, head, 0, 48, 0);
	t.is(head.toString(), `pooled${'l'.repeat(9)}${'\0'.repeat(5)}lll${'\0'.repeat(7)}${'s'.repeat(10)}eap${'\0'.repeat(5)}`);
	t.is(statusAt(file.fd, '').size, BigInt(6 * 2 ** 30 + 3));
	// All pages may be full, or the descriptor be for reading only: nobody believes that it was written.
	using full = new Descriptor(openAt(AT_FDCWD, '/dev/full', {flags: constants.O_WRONLY}));
	t.is(errnoOf(t.throws(() => writeAt(full.fd, large, 0))), 'ENOSPC');
	using readOnly = new Descriptor(openAt(AT_FDCWD, path, {flags: constants.O_RDONLY}));
	t.is(errnoOf(t.throws(() => writeAt(readOnly.fd, large, 0))), 'EBADF');
	const closed = openAt(AT_FDCWD, path, {flags: constants.O_RDONLY});
	closeFile(closed);
	t.is(errnoOf(t.throws(() => closeFile(closed))), 'EBADF');
});

test('times are those of the call, whatever the call before had', async t => {
	await using dir = await scratch();
	using at = openDirectory(dir.path);
	await writeFile(`${dir.path}/file`, '');
	const told = (): readonly (bigint | undefined)[] => [statusAt(at.fd, 'file').mtimeNs, lstatSync(`${dir.path}/file`, {bigint: true}).atimeNs];
	changeTimesAt(at.fd, 'file', {atimeNs: 5n, mtimeNs: 5n});
	t.deepEqual(told(), [5n, 5n]);
	changeTimesAt(at.fd, 'file', {atimeNs: 5n, mtimeNs: 7_000_000_001n});
	t.deepEqual(told(), [7_000_000_001n, 5n]);
	changeTimesAt(at.fd, 'file', {atimeNs: 6n, mtimeNs: 7_000_000_001n});
	t.deepEqual(told(), [7_000_000_001n, 6n]);
	changeTimesAt(at.fd, 'file', {mtimeNs: 8n});
	t.deepEqual(told(), [8n, 6n]);
	changeTimesAt(at.fd, 'file', {atimeNs: 9n});
	t.deepEqual(told(), [8n, 9n]);
});

test('device nodes, owners, modes and times are kept to the last bit', async t => {
	await using dir = await scratch();
	using at = openDirectory(dir.path);
	makeNodeAt(at.fd, 'node', constants.S_IFCHR | 0o600, {major: 300, minor: 70_000});
	makeNodeAt(at.fd, 'whiteout', constants.S_IFCHR);
	t.deepEqual(statusAt(at.fd, 'node').rdev, {major: 300, minor: 70_000});
	t.deepEqual(statusAt(at.fd, 'whiteout').rdev, {major: 0, minor: 0});
	t.is(makeDevice(300, 70_000), 0x11112c70n);
	makeSymlinkAt('nowhere', at.fd, 'link');
	changeOwnerAt(at.fd, 'link', 4_000_000_000, 1234);
	t.like(statusAt(at.fd, 'link'), {uid: 4_000_000_000, gid: 1234});
	changeModeAt(at.fd, 'node', 0o4755);
	t.is(statusAt(at.fd, 'node').mode, constants.S_IFCHR | 0o4755);
	const atimeNs = 1_234_567_890_123_456_789n;
	changeTimesAt(at.fd, 'link', {atimeNs, mtimeNs: -1n});
	changeTimesAt(at.fd, 'link', {mtimeNs: -1_500_000_001n});
	t.like(statusAt(at.fd, 'link'), {atimeNs, mtimeNs: -1_500_000_001n});
	await writeFile(`${dir.path}/file`, 'abc');
	using file = new Descriptor(openAt(at.fd, 'file', {flags: constants.O_RDONLY}));
	changeMode(file.fd, 0o640);
	changeOwnerAt(file.fd, '', 1, 2);
	t.like(statusAt(file.fd, ''), {mode: constants.S_IFREG | 0o640, uid: 1, gid: 2, size: 3n, isMountRoot: false});
	const byNode = await lstat(`${dir.path}/file`, {bigint: true});
	t.like(statusAt(at.fd, 'file'), {ino: byNode.ino, mtimeNs: byNode.mtimeNs, ctimeNs: byNode.ctimeNs, blocks: byNode.blocks, nlink: 1});
	t.is(statusAt(AT_FDCWD, '/proc').isMountRoot, true);
	t.is(AT.REMOVEDIR, 0x200);
});

test('attributes have bytes for values, on links and below directory handles', async t => {
	await using dir = await scratch();
	using at = openDirectory(dir.path);
	makeSymlinkAt('nowhere', at.fd, latin1);
	await writeFile(`${dir.path}/file`, '');
	const value = Buffer.from([0, 0xff, 0x80, 0, 1]);
	setAttribute({directory: at.fd, name: latin1}, 'trusted.keelson', value);
	t.deepEqual(getAttribute({directory: at.fd, name: latin1}, 'trusted.keelson'), value);
	t.deepEqual(listAttributes({directory: at.fd, name: latin1}).map(String), ['trusted.keelson']);
	removeAttribute({directory: at.fd, name: latin1}, 'trusted.keelson');
	t.is(getAttribute({directory: at.fd, name: latin1}, 'trusted.keelson'), undefined);
	t.is(errnoOf(t.throws(() => removeAttribute({directory: at.fd, name: latin1}, 'trusted.keelson'))), 'ENODATA');

	const capability = Buffer.from('0100000200008000000000000000000000000000', 'hex');
	setAttribute(`${dir.path}/file`, 'security.capability', capability);
	using byPath = new Descriptor(openAt(at.fd, 'file', {flags: O_PATH}));
	using opened = new Descriptor(openAt(at.fd, 'file', {flags: constants.O_RDONLY}));
	t.deepEqual(getAttribute(byPath.fd, 'security.capability'), capability);
	t.deepEqual(getAttribute(opened.fd, 'security.capability'), capability);
	const large = Buffer.alloc(2000, 0xaa);
	setAttribute(byPath.fd, 'trusted.large', large);
	t.deepEqual(getAttribute(Buffer.from(`${dir.path}/file`), 'trusted.large'), large);
	setAttribute(opened.fd, 'trusted.empty', new Uint8Array(0));
	t.deepEqual(getAttribute(opened.fd, 'trusted.empty'), Buffer.alloc(0));
	t.deepEqual(listAttributes(opened.fd).map(String).toSorted(), ['security.capability', 'trusted.empty', 'trusted.large']);
});

test('a lock is held by one open file until it is closed', async t => {
	await using dir = await scratch();
	const first = openSync(`${dir.path}/lock`, 'w');
	const second = openSync(`${dir.path}/lock`, 'r');
	t.true(tryLockFile(first));
	t.false(tryLockFile(second));
	unlockFile(first);
	t.true(tryLockFile(second, 'shared'));
	t.true(tryLockFile(first, 'shared'));
	closeSync(second);
	t.true(tryLockFile(first));
	closeSync(first);
});

test('file systems tell their kind, are synced, and take fifos', async t => {
	await using dir = await scratch();
	t.is(fileSystemStatus('/proc').type, MAGIC.PROC);
	const status = fileSystemStatus(dir.path);
	t.true(status.blocksAvailable > 0n && status.blocksFree >= status.blocksAvailable && status.nameBytesMax === 255);
	using at = openDirectory(dir.path);
	await syncFileSystem(at.fd);
	syncDirectory(dir.path);
	makeFifo(`${dir.path}/fifo`, 0o600);
	t.is(statusAt(at.fd, 'fifo').mode, constants.S_IFIFO | 0o600);
	t.is(errnoOf(t.throws(() => makeFifo(`${dir.path}/fifo`, 0o600))), 'EEXIST');
	t.is(errnoOf(await t.throwsAsync(syncFileSystem(9999))), 'EBADF');
});

test.serial('a thousand opens and failures leave no descriptor behind', async t => {
	await using dir = await scratch();
	const before = await countDescriptors();
	for (let round = 0; round < 1000; round++) {
		using at = openDirectory(dir.path);
		t.throws(() => openAt(at.fd, 'missing', {flags: O_PATH}));
	}
	t.is(await countDescriptors(), before);
});
