import {spawn} from 'node:child_process';
import {closeSync, fstatSync, openSync, readFileSync, statSync} from 'node:fs';
import test from 'ava';
import {DescriptorWatcher} from '../../lib/sys/descriptor-watcher.ts';
import {receiveDescriptors, trySendDescriptors} from '../../lib/sys/descriptors.ts';
import {acceptPackets, connectPackets, listenForPackets} from '../../lib/sys/packet-socket.ts';
import {processStat} from '../../lib/sys/process-stat.ts';
import {until} from '../helpers/until.ts';
import {scratch} from './scratch.ts';

test.serial('packets keep their borders, carry descriptors, and nobody waits for a receiver', async t => {
	await using dir = await scratch();
	await using watcher = new DescriptorWatcher();
	const path = `${dir.path}/socket`;
	t.is(connectPackets(path), undefined);
	const listener = listenForPackets(path);
	t.is(statSync(path).mode & 0o777, 0o600);
	t.is(acceptPackets(listener), undefined);
	const client = connectPackets(path) ?? -1;
	await watcher.readable(listener);
	const server = acceptPackets(listener) ?? -1;
	const file = openSync('/etc/hostname', 'r');
	t.true(trySendDescriptors(client, [file], Buffer.from('one')));
	t.true(trySendDescriptors(client, [], Buffer.from('two')));
	const first = await receiveDescriptors(server, watcher);
	t.is(first.data.toString(), 'one');
	t.is(fstatSync(first.fds[0] ?? -1).ino, fstatSync(file).ino);
	t.is((await receiveDescriptors(server, watcher)).data.toString(), 'two');
	let sent = 0;
	while (trySendDescriptors(client, [file], Buffer.alloc(100))) {
		sent++;
	}
	t.true(sent > 0 && sent < 10_000);
	closeSync(client);
	for (let received = 0; received < sent; received++) {
		(await receiveDescriptors(server, watcher)).fds.forEach(fd => closeSync(fd));
	}
	t.is((await receiveDescriptors(server, watcher)).data.length, 0);
	[file, server, listener, ...first.fds].forEach(fd => closeSync(fd));
	t.is(connectPackets(path), undefined);
});

test.serial('a process that waits to be reaped tells how it ended, though it is nobody\'s child of ours', async t => {
	// The shell's child ends; the shell, which is stopped, does not reap it.
	const shell = spawn('/bin/sh', ['-c', '(sleep 0.3; exit 37) & echo $!; kill -STOP $$; wait'], {stdio: ['ignore', 'pipe', 'ignore']});
	t.teardown(() => shell.kill('SIGKILL'));
	const pid = Number(await new Promise<string>(resolve => void shell.stdout.once('data', (data: Buffer) => resolve(data.toString()))));
	const stat = await until('the zombie', () => {
		const found = processStat(pid);
		return found?.end === undefined ? undefined : found;
	});
	t.deepEqual(stat.end, {pid, exitCode: 37, signal: undefined});
	t.is(stat.startTime, Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]));
	t.is(processStat(process.pid)?.end, undefined);
	shell.kill('SIGKILL');
	await until('it to be reaped', () => processStat(pid) === undefined);
});
