import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdir, rmdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {removeCgroup} from '../../plugins/shim/process/container-cgroup.ts';
import {until} from '../helpers/until.ts';

const memory = '/sys/fs/cgroup/memory';

async function group(t: {teardown(undo: () => Promise<void>): void}, below = memory): Promise<string> {
	const directory = path.join(below, `keelson-left-${randomBytes(4).toString('hex')}`);
	await mkdir(directory);
	t.teardown(async () => rmdir(directory).catch(() => undefined));
	return directory;
}

test('what a runtime has left of the groups is taken away, once their last process is gone', async t => {
	const [empty, busy] = [await group(t), await group(t)];
	const child = spawn('/bin/sleep', ['60']);
	const ended = once(child, 'exit');
	t.teardown(async () => {
		child.kill('SIGKILL');
		await ended;
	});
	await writeFile(path.join(busy, 'cgroup.procs'), String(child.pid));
	const removing = removeCgroup({controllers: new Map([['memory', busy], ['pids', path.join(memory, 'keelson-never-was')]]), unified: empty});
	await until('the empty one to go', () => !existsSync(empty));
	t.true(existsSync(busy));
	child.kill('SIGKILL');
	await removing;
	t.false(existsSync(busy));
});

test('a group that others use stays, and nobody waits for it for long', async t => {
	const parent = await group(t);
	const below = await group(t, parent);
	const beganMs = performance.now();
	await removeCgroup({controllers: new Map([['memory', parent]]), unified: undefined});
	t.true(performance.now() - beganMs < 15_000);
	t.true(existsSync(below));
	await rmdir(below);
});
