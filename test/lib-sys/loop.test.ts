import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdir, readFile, truncate, writeFile} from 'node:fs/promises';
import {promisify} from 'node:util';
import anyTest, {type TestFn} from 'ava';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {attachLoop, detachLoop, keepLoop, loopBacking} from '../../lib/sys/loop-device.ts';
import {performMount, performMounts, unmount} from '../../lib/sys/mount.ts';
import {until} from '../helpers/until.ts';
import {countDescriptors, scratch} from './scratch.ts';

// One after another: descriptors are counted.
const test = anyTest.serial as TestFn;
const run = promisify(execFile);

async function imageIn(directory: string, name = 'image'): Promise<string> {
	const file = `${directory}/${name}`;
	await writeFile(file, '');
	await truncate(file, 4 << 20);
	await run('/usr/sbin/mkfs.ext4', ['-q', file]);
	return file;
}

test('a loop device goes when nobody has it open, one that is kept when it is detached', async t => {
	await using dir = await scratch();
	const file = await imageIn(dir.path);
	const before = await countDescriptors();
	const device = await attachLoop(file);
	t.is(await loopBacking(device.path), device.backing);
	device[Symbol.dispose]();
	device[Symbol.dispose]();
	await until('the device to be given back', async () => await loopBacking(device.path) !== device.backing);

	const kept = await attachLoop(file, {isReadOnly: true});
	await keepLoop(kept);
	kept[Symbol.dispose]();
	t.is(await loopBacking(kept.path), kept.backing);
	await detachLoop({path: kept.path, backing: '0:0'});
	t.is(await loopBacking(kept.path), kept.backing, 'what shows something else is not ours');
	await detachLoop(kept);
	await until('the device to be given back', async () => await loopBacking(kept.path) !== kept.backing);
	await detachLoop(kept);
	t.is(await countDescriptors(), before);
});

test('devices that are asked for at once are different ones', async t => {
	await using dir = await scratch();
	const files = await Promise.all(['a', 'b', 'c', 'd'].map(async name => imageIn(dir.path, name)));
	const devices = await Promise.all(files.map(async file => attachLoop(file)));
	t.is(new Set(devices.map(({path}) => path)).size, files.length);
	t.is(new Set(devices.map(({backing}) => backing)).size, files.length);
	devices.forEach(device => device[Symbol.dispose]());
});

test('what can be no loop device is refused', async t => {
	await using dir = await scratch();
	makeFifo(`${dir.path}/fifo`, 0o600);
	await t.throwsAsync(attachLoop(`${dir.path}/fifo`), {code: 'INVALID_ARGUMENT', message: /neither a file nor a block device/});
	await t.throwsAsync(attachLoop(dir.path, {isReadOnly: true}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(attachLoop(`${dir.path}/missing`), {code: 'NOT_FOUND'});
	t.is(await loopBacking('/dev/loop-that-is-none'), undefined);
});

test('the option loop mounts a file, and its device goes with the mount, also with one that fails', async t => {
	await using dir = await scratch();
	const file = await imageIn(dir.path);
	await mkdir(`${dir.path}/to`);
	await performMount({type: 'ext4', source: file, options: ['loop']}, `${dir.path}/to`);
	await writeFile(`${dir.path}/to/words`, 'kept');
	unmount(`${dir.path}/to`);
	await performMounts([{type: 'ext4', source: file, options: ['ro', 'loop']}], `${dir.path}/to`);
	t.is(await readFile(`${dir.path}/to/words`, 'utf8'), 'kept');
	await t.throwsAsync(writeFile(`${dir.path}/to/words`, ''), {code: 'EROFS'});
	unmount(`${dir.path}/to`);
	await writeFile(`${dir.path}/nothing`, Buffer.alloc(1 << 20));
	await t.throwsAsync(performMount({type: 'ext4', source: `${dir.path}/nothing`, options: ['loop']}, `${dir.path}/to`), {code: 'INVALID_ARGUMENT'});
	await until('devices of the test to go', async () => !(await run('/usr/sbin/losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])).stdout.includes(dir.path));
	t.false(existsSync(`${dir.path}/to/words`));
});
