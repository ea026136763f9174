import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync, readSync} from 'node:fs';
import {mkdir, stat, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import tty from 'node:tty';
import test from 'ava';
import {ConsoleSocket} from '../../lib/sys/console-socket.ts';
import {DescriptorWatcher} from '../../lib/sys/descriptor-watcher.ts';
import {receiveDescriptors, sendDescriptors, socketPair} from '../../lib/sys/descriptors.ts';
import {resizeTerminal, terminalSize} from '../../lib/sys/terminal.ts';
import {countDescriptors, scratch} from './scratch.ts';

test.serial('descriptors go over a socket with their bytes, several at once, and mean the same files', async t => {
	await using dir = await scratch();
	await using watcher = new DescriptorWatcher();
	const [left, right] = socketPair();
	await writeFile(`${dir.path}/a`, 'first');
	await writeFile(`${dir.path}/b`, 'second');
	const files = ['a', 'b'].map(name => openSync(`${dir.path}/${name}`, 'r'));
	const receiving = receiveDescriptors(right, watcher);
	await sendDescriptors(left, files, Buffer.from('hello'));
	files.forEach(fd => closeSync(fd));
	const {fds, data} = await receiving;
	t.is(data.toString(), 'hello');
	t.deepEqual(fds.map(fd => {
		const text = Buffer.alloc(10);
		const length = readSync(fd, text);
		closeSync(fd);
		return text.toString('utf8', 0, length);
	}), ['first', 'second']);
	await t.throwsAsync(receiveDescriptors(right, watcher, {signal: AbortSignal.timeout(20)}), {code: 'DEADLINE_EXCEEDED'});
	closeSync(left);
	t.deepEqual(await receiveDescriptors(right, watcher), {fds: [], data: Buffer.alloc(0)});
	closeSync(right);
	await t.throwsAsync(sendDescriptors(9999, [0]), {message: /EBADF/});
});

test.serial('more descriptors than wanted are closed and refused, and a thousand rounds leave none behind', async t => {
	await using watcher = new DescriptorWatcher();
	const [left, right] = socketPair();
	const before = await countDescriptors();
	await sendDescriptors(left, [0, 0, 0, 0]);
	await t.throwsAsync(receiveDescriptors(right, watcher, {fdsMax: 2}), {code: 'RESOURCE_EXHAUSTED'});
	for (let round = 0; round < 1000; round++) {
		await sendDescriptors(left, [0, 1]);
		(await receiveDescriptors(right, watcher)).fds.forEach(fd => closeSync(fd));
	}
	t.is(await countDescriptors(), before);
	closeSync(left);
	closeSync(right);
});

test.serial('runc delivers a terminal, which reads, writes and resizes', async t => {
	await using dir = await scratch();
	await using watcher = new DescriptorWatcher();
	await using socket = ConsoleSocket.listen(`${dir.path}/console`, watcher);
	t.is((await stat(socket.path)).mode & 0o777, 0o600);
	await mkdir(`${dir.path}/rootfs/bin`, {recursive: true});
	await writeFile(`${dir.path}/config.json`, JSON.stringify(terminalSpec));
	const id = `keelson-terminal-${process.pid}`;
	const runc = spawn('runc', ['--root', `${dir.path}/state`, 'create', '--console-socket', socket.path, '--bundle', dir.path, id], {stdio: 'ignore'});
	const exited = once(runc, 'exit');
	try {
		const fd = await socket.receive(AbortSignal.timeout(20_000));
		t.deepEqual(await exited, [0, null]);
		resizeTerminal(fd, {columns: 123, rows: 45});
		t.deepEqual(terminalSize(fd), {columns: 123, rows: 45});
		const terminal = new tty.ReadStream(fd);
		t.true(terminal.isTTY);
		terminal.destroy();
	} finally {
		const gone = spawn('runc', ['--root', `${dir.path}/state`, 'delete', '--force', id], {stdio: 'ignore'});
		await once(gone, 'exit');
	}
});

test.serial('a console socket ends by its signal, when closed, and when nothing comes with the connection', async t => {
	await using dir = await scratch();
	await using watcher = new DescriptorWatcher();
	const before = await countDescriptors();
	const socket = ConsoleSocket.listen(`${dir.path}/console`, watcher);
	t.throws(() => ConsoleSocket.listen(`${dir.path}/console`, watcher), {code: 'ALREADY_EXISTS'});
	t.throws(() => ConsoleSocket.listen(`${dir.path}/${'x'.repeat(200)}`, watcher), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(socket.receive(AbortSignal.timeout(20)), {code: 'DEADLINE_EXCEEDED'});
	const receiving = t.throwsAsync(socket.receive(), {code: 'INVALID_ARGUMENT'});
	const client = connect(socket.path);
	client.end('no descriptor');
	await receiving;
	client.destroy();
	const waiting = t.throwsAsync(socket.receive(), {code: 'CANCELLED'});
	await socket[Symbol.asyncDispose]();
	await socket[Symbol.asyncDispose]();
	await waiting;
	await t.throwsAsync(stat(socket.path), {code: 'ENOENT'});
	t.true(await countDescriptors() <= before + 1);
});

const terminalSpec = {
	ociVersion: '1.0.2',
	process: {terminal: true, user: {uid: 0, gid: 0}, args: ['/bin/sh'], cwd: '/'},
	root: {path: 'rootfs'},
	linux: {namespaces: [{type: 'pid'}, {type: 'mount'}, {type: 'ipc'}, {type: 'uts'}]},
	mounts: [
		...['/bin', '/lib', '/lib64', '/usr'].map(directory => ({destination: directory, type: 'bind', source: directory, options: ['rbind', 'ro']})),
		{destination: '/proc', type: 'proc', source: 'proc'},
		{destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755', 'size=64k']},
		{destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666', 'mode=0620']},
	],
};
