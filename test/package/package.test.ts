import {createHash} from 'node:crypto';
import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {command} from '../helpers/command.ts';
import {Daemon} from '../helpers/daemon.ts';
import {Registry} from '../helpers/registry.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';
import {Stranger} from './stranger.ts';

const guide = path.join(import.meta.dirname, '../../docs/plugins.md');

let stranger: Stranger;

test.before('keelson and the example are packed, and installed in an empty folder', async t => {
	t.timeout(300_000);
	stranger = await Stranger.move();
});

test.after.always('the folder goes', async () => {
	await stranger?.[Symbol.asyncDispose]();
});

test.serial('the packed types check the example and the guide strictly, and hold for themselves', async t => {
	await stranger.write('doors.ts', [
		`import {definePlugin, isKeelsonError, KeelsonError, one, type Plugin} from 'keelson';`,
		`import {ContentStore} from 'keelson/contracts/content';`,
		`import {type Network} from 'keelson/contracts/network';`,
		`import {parseDigest} from 'keelson/contracts/oci/digest';`,
		`import {contentSuite, networkSuite} from 'keelson/testing';`,
		`import * as client from 'keelson/client';`,
		`import {plugin} from './plugin.js';`,
		`import {plugin as guide} from './guide.js';`,
		`export const doors: readonly unknown[] = [definePlugin, isKeelsonError, KeelsonError, one(ContentStore), parseDigest, contentSuite, networkSuite, client];`,
		`export const mine: readonly Plugin[] = [plugin, guide];`,
		`// @ts-expect-error: an attach answers with what it attached.`,
		`export const wrong: Network = {attach: async () => undefined, detach: async () => undefined};`,
	].join('\n'));
	await stranger.write('guide.js', /(?<=```js\n).*?(?=```)/sv.exec(await readFile(guide, 'utf8'))?.[0] ?? '');
	await stranger.write('tsconfig.json', JSON.stringify({
		compilerOptions: {
			target: 'es2024', lib: ['es2024', 'esnext.disposable'], module: 'nodenext', types: ['node'], noEmit: true,
			strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, allowJs: true, checkJs: true, skipLibCheck: false,
		},
		files: ['plugin.js', 'guide.js', 'doors.ts'],
	}));
	await t.notThrowsAsync(stranger.run('tsc', '-p', '.'));
});

test.serial('each contract has a door of its own', async t => {
	const entries = await readdir(path.join(import.meta.dirname, '../../contracts'), {withFileTypes: true});
	const names = entries.filter(entry => entry.isDirectory() && entry.name !== 'oci').map(({name}) => name);
	await stranger.write('contracts.js', `const doors = await Promise.all(${JSON.stringify(names)}.map(name => import('keelson/contracts/' + name)));\nconsole.log(doors.length);\n`);
	t.is(await stranger.run('node', 'contracts.js'), `${names.length}\n`);
});

test.serial('the example passes the suite that is published with the contract', async t => {
	await stranger.write('network.test.js', [
		`import test from 'ava';`,
		`import {networkSuite} from 'keelson/testing';`,
		`import {plugin} from 'keelson-example-network-veth';`,
		`networkSuite(test, {name: 'veth', create: () => plugin.init({config: plugin.config.parse({})})});`,
	].join('\n'));
	t.regex(await stranger.run('ava', 'network.test.js'), /\d+ tests passed/v);
});

test.serial('a container has the interface that the example adds, and nothing of it is left', async t => {
	t.timeout(120_000);
	await using registry = await Registry.start();
	const {busybox} = await pushTestImages(registry);
	await using daemon = await Daemon.start(stranger.daemon([
		`modules = ["keelson-example-network-veth"]`,
		`[plugins."io.keelson.network.v1.veth"]`,
		`address = "10.77.3.2/24"`,
	].join('\n')));
	const ctr = daemon.ctr('1.6', daemon.namespace('package'));
	const plugins = await ctr.rows('plugins', 'ls');
	t.deepEqual(plugins.find(([type, id]) => type === 'io.keelson.network.v1' && id === 'veth')?.at(-1), 'ok');
	t.deepEqual(plugins.filter(row => row.at(-1) === 'error'), []);

	await ctr.ok('images', 'pull', '--plain-http', busybox);
	t.regex(await ctr.ok('run', '--rm', busybox, 'once', 'ip', 'address', 'show', 'eth0'), /inet 10\.77\.3\.2\/24 .*eth0/v);
	t.false(await isOnHost(ctr.namespace, 'once'));

	await ctr.ok('run', '-d', busybox, 'stays', 'sleep', '1000');
	t.true(await isOnHost(ctr.namespace, 'stays'));
	await daemon.restart();
	t.regex(await ctr.ok('tasks', 'exec', '--exec-id', 'look', 'stays', 'ip', 'link', 'show', 'eth0'), /eth0@[^<]*<[^>]*\bUP\b/v);
	await ctr.ok('tasks', 'kill', '-s', 'SIGKILL', 'stays');
	await until('the task to stop', async () => (await ctr.ok('tasks', 'ls')).includes('STOPPED'));
	await ctr.ok('tasks', 'delete', 'stays');
	await ctr.ok('containers', 'rm', 'stays');
	t.false(await isOnHost(ctr.namespace, 'stays'));

	t.true(await daemon.stop());
	t.deepEqual(await daemon.remains(), []);
});

test.serial('an installed keelson has its commands, in JavaScript alone', async t => {
	const installed = path.join(stranger.folder, 'node_modules/keelson');
	const {stdout: sources} = await command('find', [installed, '-name', '*.ts', '-not', '-name', '*.d.ts']);
	t.is(sources, '');
	// An import makes all that a module could give, which takes longer than a thread's own start.
	const {stdout: imports} = await command('grep', ['-rlE', '--include=*.js', '^import .*"node:', installed]);
	t.is(imports, '');
	for (const name of ['keelsond', 'keelson', 'containerd-shim-keelson-v2']) {
		const {code, stdout} = await command(path.join(stranger.folder, 'node_modules/.bin', name), [name === 'keelsond' ? '--help' : name === 'keelson' ? '--help' : '-v'], {env: {PATH: '/usr/bin:/bin'}});
		t.is(code, 0, name);
		t.true(stdout.includes(name), stdout);
	}
});

/** Whether the host's end of a container's pair is there, under the name that the example gives it. */
async function isOnHost(namespace: string, id: string): Promise<boolean> {
	const name = `veth${createHash('sha256').update(`${namespace}/${id}`).digest('hex').slice(0, 11)}`;
	const {code} = await command('ip', ['link', 'show', name]);
	return code === 0;
}
