import {execFileSync} from 'node:child_process';
import {mkdir, mkdtemp, readdir, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {readAccountFiles} from '../../client/spec/account-files.ts';

const bind = (source: string) => [{type: 'bind', source, target: '', options: ['rbind', 'rw']}];

test.serial('account files are read through a mount that is gone afterwards', async t => {
	const root = await mkdtemp(join(tmpdir(), 'keelson-tree-'));
	try {
		await mkdir(join(root, 'etc'));
		await writeFile(join(root, 'etc/passwd'), 'a:x:1:1::/:\n');
		// The machine's own file lies at this path, and must not be what is read.
		await symlink('/etc/passwd', join(root, 'etc/group'));
		// Where nobody else keeps anything.
		await mkdir(join(root, 'tmp'));
		process.env['TMPDIR'] = join(root, 'tmp');
		t.deepEqual(await readAccountFiles(bind(root)), {passwd: 'a:x:1:1::/:\n', group: 'a:x:1:1::/:\n'});
		t.deepEqual(await readdir(join(root, 'tmp')), []);
	} finally {
		delete process.env['TMPDIR'];
		await rm(root, {recursive: true, force: true});
	}
});

test.serial('CVE-2026-47262: a file that is too large, and one that is none, are refused', async t => {
	const root = await mkdtemp(join(tmpdir(), 'keelson-tree-'));
	try {
		await mkdir(join(root, 'etc'));
		await writeFile(join(root, 'etc/passwd'), Buffer.alloc(1024 * 1024 + 1, 'x'));
		await t.throwsAsync(readAccountFiles(bind(root)), {code: 'RESOURCE_EXHAUSTED'});
		await rm(join(root, 'etc/passwd'));
		execFileSync('mkfifo', [join(root, 'etc/passwd')]);
		await t.throwsAsync(readAccountFiles(bind(root)), {code: 'INVALID_ARGUMENT'});
	} finally {
		await rm(root, {recursive: true, force: true});
	}
});

test.serial('the layers of an image of many are mounted too', async t => {
	const root = await mkdtemp(join(tmpdir(), 'keelson-tree-'));
	try {
		const layers = Array.from({length: 90}, (_, index) => join(root, 'a-folder-with-a-rather-long-name', String(index), 'fs'));
		await Promise.all(layers.map(async layer => mkdir(join(layer, 'etc'), {recursive: true})));
		await writeFile(join(layers[89] ?? '', 'etc/passwd'), 'lowest:x:1:1::/:\n');
		const {passwd} = await readAccountFiles([{type: 'overlay', source: 'overlay', target: '', options: [`lowerdir=${layers.join(':')}`]}]);
		t.is(passwd, 'lowest:x:1:1::/:\n');
	} finally {
		await rm(root, {recursive: true, force: true});
	}
});
