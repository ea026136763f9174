import {spawn as spawnByNode, execFile} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync, readlinkSync} from 'node:fs';
import {readFile, stat, writeFile} from 'node:fs/promises';
import {promisify} from 'node:util';
import test from 'ava';
import {isKeelsonError} from '../../kernel/errors.ts';
import {DescriptorWatcher} from '../../lib/sys/descriptor-watcher.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {createNetworkNamespace, isNetworkNamespace, removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';
import {endOfProcess, openProcess, signalProcess} from '../../lib/sys/pidfd.ts';
import {becomeSubreaper, decodeWaitStatus, nameThread, peekEndedChild, reap, toExitStatus, waitForChild} from '../../lib/sys/process.ts';
import {spawnProcess} from '../../lib/sys/spawn.ts';
import {countDescriptors, scratch} from './scratch.ts';

const sh = '/bin/sh';

test.serial('a spawned program gets its arguments, environment, directory and descriptors, and no others', async t => {
	await using dir = await scratch();
	const out = openSync(`${dir.path}/out`, 'w');
	const other = openSync(`${dir.path}/other`, 'w');
	const script = 'echo "$1|$HOME|$(pwd)"; echo to three >&3; ls /proc/self/fd | tr "\\n" " "';
	const pid = spawnProcess(sh, ['-c', script, 'sh', 'a b\u00e9'], {env: {HOME: '/h', PATH: '/bin:/usr/bin'}, cwd: dir.path, fds: {1: out, 3: other}});
	closeSync(out);
	closeSync(other);
	t.deepEqual(await waitForChild(pid), {pid, exitCode: 0, signal: undefined});
	const [first, fds] = (await readFile(`${dir.path}/out`, 'utf8')).split('\n');
	t.is(first, `a b\u00e9|/h|${dir.path}`);
	// 4 is the directory that ls reads.
	t.is(fds, '0 1 2 3 4 ');
	t.is(await readFile(`${dir.path}/other`, 'utf8'), 'to three\n');
});

test.serial('descriptors may change places', async t => {
	await using dir = await scratch();
	const a = openSync(`${dir.path}/a`, 'w');
	const b = openSync(`${dir.path}/b`, 'w');
	const pid = spawnProcess('/bin/bash', ['-c', `echo at a >&${a}; echo at b >&${b}`], {fds: {[a]: b, [b]: a}});
	t.is((await waitForChild(pid)).exitCode, 0);
	closeSync(a);
	closeSync(b);
	t.is(await readFile(`${dir.path}/b`, 'utf8'), 'at a\n');
	t.is(await readFile(`${dir.path}/a`, 'utf8'), 'at b\n');
});

test.serial('a spawned program starts with signals as they are by default, in a session of its own', async t => {
	await using dir = await scratch();
	const out = openSync(`${dir.path}/out`, 'w');
	const pid = spawnProcess(sh, ['-c', 'cat /proc/self/status; cut -d" " -f6 /proc/$$/stat; echo $$'], {fds: {1: out}, setsid: true});
	closeSync(out);
	await waitForChild(pid);
	const text = await readFile(`${dir.path}/out`, 'utf8');
	t.regex(text, /SigBlk:\t0{16}\n/);
	t.regex(text, /SigIgn:\t0{16}\n/);
	t.true(text.endsWith(`${pid}\n${pid}\n`));
});

test.serial('a program or directory that is missing fails at once and leaves no child', t => {
	const error = t.throws(() => spawnProcess('/missing/program', []));
	t.true(isKeelsonError(error, 'NOT_FOUND'));
	t.throws(() => spawnProcess('/bin/true', [], {cwd: '/missing'}), {message: /missing: ENOENT/});
	t.throws(() => spawnProcess('/bin/true', ['a\0b']), {code: 'INVALID_ARGUMENT'});
	t.is(peekEndedChild(), undefined);
});

test.serial('a child is peeked at, then reaped once', async t => {
	const pid = spawnProcess(sh, ['-c', 'exit 37']);
	await using watcher = new DescriptorWatcher();
	const pidfd = openProcess(pid);
	await watcher.readable(pidfd);
	closeSync(pidfd);
	t.deepEqual(peekEndedChild(), {pid, exitCode: 37, signal: undefined});
	t.deepEqual(reap(pid), {pid, exitCode: 37, signal: undefined});
	t.is(errnoOf(t.throws(() => reap(pid))), 'ECHILD');
});

test.serial('orphans come to the subreaper while libuv keeps its own children', async t => {
	becomeSubreaper();
	const orphans = new Set<number>();
	const own: number[] = [];
	for (let index = 0; index < 10; index++) {
		const child = spawnByNode(sh, ['-c', `(sleep 0.1; exit ${index + 1}) & echo $!; exit 5`], {stdio: ['ignore', 'pipe', 'ignore']});
		const exited = once(child, 'exit');
		const [line] = await once(child.stdout, 'data') as [Buffer];
		orphans.add(Number(line.toString()));
		const [code] = await exited as [number];
		own.push(code);
		child.stdout.destroy();
	}
	t.deepEqual(own, Array.from({length: 10}, () => 5));
	const codes: (number | undefined)[] = [];
	const until = Date.now() + 30_000;
	while (orphans.size > 0 && Date.now() < until) {
		const ended = peekEndedChild();
		if (ended !== undefined && orphans.delete(ended.pid)) {
			codes.push(reap(ended.pid)?.exitCode);
		} else {
			await new Promise(resolve => {
				setTimeout(resolve, 10);
			});
		}
	}
	t.deepEqual(codes.toSorted((a, b) => Number(a) - Number(b)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test.serial('a process that is not our child tells how it ended through its descriptor', async t => {
	const child = spawnByNode(sh, ['-c', 'sleep 60'], {stdio: 'ignore'});
	const pidfd = openProcess(child.pid ?? 0);
	t.is(endOfProcess(pidfd), undefined);
	signalProcess(pidfd, 0);
	const exited = once(child, 'exit');
	signalProcess(pidfd, 9);
	await exited;
	const end = endOfProcess(pidfd);
	t.like(end, {exitCode: undefined, signal: 'SIGKILL'});
	t.is(end === undefined ? 0 : toExitStatus(end), 137);
	t.is(errnoOf(t.throws(() => signalProcess(pidfd, 0))), 'ESRCH');
	closeSync(pidfd);
	t.is(errnoOf(t.throws(() => openProcess(child.pid ?? 0))), 'ESRCH');
	t.deepEqual(decodeWaitStatus(1, 37 << 8), {pid: 1, exitCode: 37, signal: undefined});
});

test.serial('a watcher tells of many processes, stops by a signal, and ends with what it watched', async t => {
	const before = await countDescriptors();
	{
		await using watcher = new DescriptorWatcher();
		const pids = Array.from({length: 40}, () => spawnProcess('/bin/sleep', ['0.2']));
		const pidfds = pids.map(openProcess);
		await Promise.all(pidfds.map(async fd => watcher.readable(fd)));
		pids.forEach(pid => t.is(reap(pid)?.exitCode, 0));
		pidfds.forEach(fd => closeSync(fd));

		const sleeper = spawnProcess('/bin/sleep', ['60']);
		const pidfd = openProcess(sleeper);
		await t.throwsAsync(watcher.readable(pidfd, AbortSignal.timeout(30)), {code: 'DEADLINE_EXCEEDED'});
		const left = t.throwsAsync(watcher.readable(pidfd), {code: 'CANCELLED'});
		const both = [watcher.readable(pidfd), watcher.readable(pidfd)].map(async waiting => t.throwsAsync(waiting, {code: 'CANCELLED'}));
		await watcher[Symbol.asyncDispose]();
		await Promise.all([left, ...both]);
		await t.throwsAsync(watcher.readable(pidfd), {code: 'CANCELLED'});
		signalProcess(pidfd, 9);
		await waitForChild(sleeper);
		closeSync(pidfd);
	}
	t.is(await countDescriptors(), before);
});

test.serial('a process that watches can still exit at once', async t => {
	await using dir = await scratch();
	const library = new URL('../../lib/sys/', import.meta.url).href;
	await writeFile(`${dir.path}/watch.ts`, `
		import {DescriptorWatcher} from '${library}descriptor-watcher.ts';
		import {openProcess} from '${library}pidfd.ts';
		const watcher = new DescriptorWatcher();
		void watcher.readable(openProcess(process.ppid));
		setTimeout(() => process.exit(7), 100);
	`);
	const started = Date.now();
	await t.throwsAsync(promisify(execFile)(process.execPath, [`${dir.path}/watch.ts`], {timeout: 20_000}), {code: 7});
	t.true(Date.now() - started < 15_000);
});

test.serial('a network namespace is pinned, is another, and goes without a trace', async t => {
	await using dir = await scratch();
	const ours = readlinkSync('/proc/thread-self/ns/net');
	const path = `${dir.path}/ns`;
	await createNetworkNamespace(path);
	t.true(isNetworkNamespace(path));
	t.not(`net:[${(await stat(path)).ino}]`, ours);
	t.is(readlinkSync('/proc/thread-self/ns/net'), ours);
	t.is(errnoOf(await t.throwsAsync(createNetworkNamespace(path), {code: 'ALREADY_EXISTS'})), 'EEXIST');
	t.true(isNetworkNamespace(path), 'the one that was there stays');
	await removeNetworkNamespace(path);
	await removeNetworkNamespace(path);
	t.false(isNetworkNamespace(path));
	t.deepEqual(await mountsUnder(dir.path), []);
	await t.throwsAsync(createNetworkNamespace(`${dir.path}/missing/ns`), {code: 'NOT_FOUND'});
	await t.throwsAsync(stat(path), {code: 'ENOENT'});
});

test.serial('a thread takes a name', async t => {
	const before = (await readFile('/proc/self/comm', 'utf8')).trim();
	nameThread('keelson-test-name');
	t.is((await readFile('/proc/self/comm', 'utf8')).trim(), 'keelson-test-na');
	nameThread(before);
});
