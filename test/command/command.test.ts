import test from 'ava';
import {command} from '../helpers/command.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {keelsonPath} from '../helpers/keelson-program.ts';
import {image, layer} from '../helpers/oci-image.ts';
import {tar} from '../helpers/tar-writer.ts';
import {showSize} from '../helpers/terminal.ts';
import {until} from '../helpers/until.ts';
import {CommandRoom} from './command-room.ts';

let keelson: CommandRoom;
let busybox: string;

test.before(async () => {
	keelson = await CommandRoom.open();
	busybox = keelson.room.images.busybox;
	await keelson.room.client.images.pull(busybox, {plainHttp: true});
});
test.after.always(async () => {
	await keelson?.room.close();
});

test.serial('pull prints a line for each change of a layer on a pipe, and the image', async t => {
	const image = keelson.room.images.odd;
	const lines = (await keelson.ok(t, 'pull', '--plain-http', image)).trimEnd().split('\n').map(line => line.split('\t'));
	const {manifest} = await keelson.room.client.images.inspect(image);
	for (const {digest} of manifest.layers) {
		t.true(lines.some(([layer, event]) => layer === digest && event !== ''), digest);
	}
	t.deepEqual(lines.at(-1), [image, manifest.descriptor.digest]);
});

test.serial('pull --json prints a document on each line', async t => {
	const documents = (await keelson.ok(t, 'pull', '--plain-http', '--json', busybox)).trimEnd().split('\n').map(line => JSON.parse(line) as Record<string, unknown>);
	t.true(documents.length > 1);
	t.like(documents.at(-1), {name: busybox, mediaType: 'application/vnd.oci.image.manifest.v1+json'});
});

test.serial('pull draws a line for each layer on a terminal', async t => {
	const image = keelson.room.images.zstd;
	const shown = await keelson.seen('pull', '--plain-http', image);
	const {manifest} = await keelson.room.client.images.inspect(image);
	t.true(shown.includes(`${manifest.layers[0]?.digest.slice(0, 19)}  `), shown);
	t.true(shown.endsWith(`${image}  ${manifest.descriptor.digest.slice(0, 19)}\n`), shown);
});

test.serial('a pull says after all else what the registry allows and warns of', async t => {
	const made = image([layer(tar([{name: 'file', body: 'x'}]))]);
	const parts = new Map([made.manifest, made.config, ...made.layers].map(part => [part.digest, part]));
	await using registry = await HttpStub.start(({method, url = ''}, response) => {
		const part = url.endsWith('/manifests/1') ? made.manifest : parts.get(url.slice(url.lastIndexOf('/') + 1));
		response.setHeader('ratelimit-limit', '100;w=21600').setHeader('ratelimit-remaining', '98;w=21600').setHeader('warning', '299 - "this registry moves"');
		response.writeHead(part === undefined ? 404 : 200, {'content-type': part?.mediaType ?? 'text/plain', 'docker-content-digest': part?.digest ?? ''}).end(method === 'HEAD' ? undefined : part?.bytes);
	});
	const reference = `${registry.host}/moving:1`;
	const notices = [`${registry.host} allows 98 of 100 requests more in 21600 s`, `${registry.host} warns: this registry moves`];
	const {code, stdout, stderr} = await keelson.run('pull', '--plain-http', reference);
	t.is(code, 0, stderr);
	t.is(stderr, notices.map(notice => `keelson: ${notice}\n`).join(''));
	t.is(stdout.split('\n').at(-2), `${reference}\t${made.manifest.digest}`);
	const shown = await keelson.seen('pull', '--plain-http', reference);
	t.true(notices.every(notice => shown.includes(`keelson: ${notice}\n`)), shown);
	t.like(await keelson.run('pull', '--plain-http', '--json', reference), {code: 0, stderr: ''});
	await keelson.room.client.services.images.delete({name: reference});
});

test.serial('a pull that fails says so in one line', async t => {
	for (const reference of [`${keelson.room.registry.host}/no/such:image`, 'UPPER', '127.0.0.1:1/nobody:there']) {
		const {code, stderr, stdout} = await keelson.run('pull', '--plain-http', reference);
		t.is(code, 1, reference);
		t.regex(stderr, /^keelson: [^\n]+\n$/, reference);
		t.is(stdout, '');
	}
});

test.serial('images lists tabs on a pipe, columns on a terminal, an array as JSON', async t => {
	const [{digest}] = [(await keelson.room.client.images.get(busybox)).target];
	const row = (await keelson.ok(t, 'images')).split('\n').map(line => line.split('\t')).find(([name]) => name === busybox);
	t.is(row?.[1], digest);
	t.regex(row?.[2] ?? '', /^\d+$/);
	t.regex(await keelson.seen('images'), new RegExp(`^IMAGE +DIGEST +SIZE +CREATED\n(?:.*\n)*${busybox} +${digest.slice(0, 19)} +1\\.\\d MB +\\d+ .* ago\n`));
	const documents = await keelson.json(t, 'images') as {name: string; digest: string}[];
	t.like(documents.find(({name}) => name === busybox), {name: busybox, digest});
});

test.serial('run prints what the container prints, and ends as it does', async t => {
	const {code, stdout, stderr} = await keelson.run('run', '--rm', '-e', 'A=b', busybox, 'sh', '-c', 'echo $A; echo bad >&2; exit 23');
	t.deepEqual({code, stdout, stderr}, {code: 23, stdout: 'b\n', stderr: 'bad\n'});
	t.deepEqual(await keelson.json(t, 'ps'), []);
});

test.serial('run passes its input on, megabytes of it', async t => {
	const {code, stdout} = await keelson.with({input: Buffer.alloc(3_000_000, 'y')}, 'run', '--rm', busybox, 'wc', '-c');
	t.deepEqual({code, stdout}, {code: 0, stdout: '3000000\n'});
});

test.serial('run gives options after the image to the container', async t => {
	t.is(await keelson.ok(t, 'run', '--rm', busybox, 'echo', '--rm', '-t', '--', '-x'), '--rm -t -- -x\n');
});

test.serial('run ends when nobody reads what it prints', async t => {
	const {code, stdout} = await command('sh', ['-c', '"$@" | head -n 2', 'sh', keelsonPath, '-a', keelson.room.daemon.places.address, '-n', keelson.room.client.namespace, 'run', '--rm', busybox, 'yes']);
	t.deepEqual({code, stdout}, {code: 0, stdout: 'y\ny\n'});
	await until('the container to go', async () => (await keelson.room.client.ps()).length === 0);
});

test.serial('run -t gives a terminal that has our size', async t => {
	await using terminal = keelson.terminal('run', '--rm', '-t', busybox, 'sh');
	await terminal.shows(/# (?:\u001B\[6n)?$/);
	terminal.type(`${showSize}; echo $((6*7)); exit 4\r`);
	await terminal.shows(/24 80[\r\n]+42/);
	t.is(await terminal.exit(), 4);
});

test.serial('run -t without a terminal says what is missing', async t => {
	const {code, stderr} = await keelson.run('run', '-t', busybox);
	t.deepEqual({code, stderr}, {code: 1, stderr: 'keelson: -t needs a terminal, and standard input is none\n'});
});

test.serial('Ctrl-C goes to the container, which decides', async t => {
	await using background = keelson.background('run', '--rm', busybox, 'sh', '-c', 'trap "echo caught; exit 6" INT; echo ready; while :; do sleep 0.1; done');
	await background.prints(/ready/);
	background.kill('SIGINT');
	await background.prints(/caught/);
	t.is(await background.exit(), 6);
	t.deepEqual(await keelson.json(t, 'ps'), []);
});

test.serial('a container runs on its own, is seen, entered, stopped and removed', async t => {
	t.is(await keelson.ok(t, 'run', '-d', '--name', 'box', busybox, 'sh', '-c', 'trap "exit 8" TERM; while :; do sleep 0.1; done'), 'box\n');
	const [box] = await keelson.json(t, 'ps') as Record<string, unknown>[];
	t.like(box, {id: 'box', image: busybox, status: 'running'});
	const row = (await keelson.ok(t, 'ps')).trimEnd().split('\t');
	t.deepEqual([row[0], row[1], row[3], row[4]], ['box', busybox, 'running', String(box?.['pid'])]);
	t.regex(await keelson.seen('ps'), /^ID +IMAGE +COMMAND +STATUS +PID +CREATED\nbox +.* +running +\d+ +\d+ s ago\n$/);

	const {code, stdout, stderr} = await keelson.with({input: 'in\n'}, 'exec', '-e', 'X=y', 'box', 'sh', '-c', 'cat; echo $X; echo e >&2; exit 9');
	t.deepEqual({code, stdout, stderr}, {code: 9, stdout: 'in\ny\n', stderr: 'e\n'});
	t.regex((await keelson.run('rm', 'box')).stderr, /^keelson: container box is running: .*\n$/);
	const stopped = await keelson.json(t, 'stop', 'box');
	t.like(stopped, {id: 'box', exitCode: 8});
	t.like((await keelson.json(t, 'ps') as Record<string, unknown>[])[0], {status: 'stopped', exitCode: 8});
	t.is(await keelson.ok(t, 'rm', 'box'), 'box\n');
	t.is(await keelson.ok(t, 'ps'), '');
});

test.serial('exec -t enters a terminal', async t => {
	await keelson.ok(t, 'run', '-d', '--name', 'box', busybox, 'sleep', '100');
	await using terminal = keelson.terminal('exec', '-t', 'box', 'sh');
	await terminal.shows(/# (?:\u001B\[6n)?$/);
	terminal.type('tty; exit 2\r');
	await terminal.shows(/\/dev\/pts\/\d/);
	t.is(await terminal.exit(), 2);
	t.is(await keelson.ok(t, 'rm', '-f', 'box'), 'box\n');
});

test.serial('stop insists after its time', async t => {
	await keelson.ok(t, 'run', '-d', '--name', 'deaf', busybox, 'sh', '-c', 'trap "" TERM; touch /deaf; while :; do sleep 0.1; done');
	await keelson.ok(t, 'exec', 'deaf', 'sh', '-c', 'until [ -e /deaf ]; do sleep 0.1; done');
	t.like(await keelson.json(t, 'stop', '--time', '0.2', 'deaf'), {exitCode: 137});
	await keelson.ok(t, 'rm', 'deaf');
});

test.serial('run -d --json prints one document', async t => {
	const document = await keelson.json(t, 'run', '-d', '--name', 'one', busybox, 'sleep', '9').catch(() => undefined);
	t.is(document, undefined, '--json after the image belongs to the container');
	await keelson.run('rm', '-f', 'one');
	t.like(JSON.parse(await keelson.ok(t, '--json', 'run', '-d', '--name', 'two', busybox, 'sleep', '9')), {id: 'two'});
	await keelson.ok(t, 'rm', '-f', 'two');
});

test.serial('events tell what happens until Ctrl-C', async t => {
	await using plain = keelson.background('events', `namespace==${keelson.room.client.namespace}`);
	await using json = keelson.background('events', '--json', 'topic=="/tasks/exit"');
	await until('both to listen', async () => {
		await keelson.run('run', '--rm', busybox, 'sh', '-c', 'exit 3');
		return plain.stdout.includes('/tasks/exit') && json.stdout.includes('\n');
	});
	t.regex(plain.stdout, new RegExp(`^\\S+Z\t${keelson.room.client.namespace}\t/tasks/exit\t\\{"containerId":".*"exitStatus":3.*\\}$`, 'm'));
	t.like(JSON.parse(json.stdout.split('\n')[0] ?? ''), {topic: '/tasks/exit', type: 'containerd.events.TaskExit', namespace: keelson.room.client.namespace});
	for (const each of [plain, json]) {
		each.kill('SIGINT');
		t.is(await each.exit(), 0);
	}
});

test.serial('plugins lists what the daemon is made of', async t => {
	t.regex(await keelson.ok(t, 'plugins'), /^io\.containerd\.content\.v1\tcontent\tok\t$/m);
	t.regex(await keelson.seen('plugins'), /^TYPE +ID +STATUS +\n(?:.*\n)*io\.containerd\.content\.v1 +content +ok +\n/);
	t.true((await keelson.json(t, 'plugins') as {type: string; id: string; status: string}[]).some(({type, id, status}) => type === 'io.containerd.metadata.v1' && id === 'sqlite' && status === 'ok'));
});

test.serial('version names both ends', async t => {
	t.regex(await keelson.ok(t, 'version'), /^client {2}keelson \d+\.\d+\.\d+\nserver {2}\S+.* at \/.*\n$/);
	t.like(await keelson.json(t, 'version'), {server: {address: keelson.room.daemon.places.address}});
});

test.serial('a line that makes no sense ends with 2, and says why in one line', async t => {
	for (const args of [['frobnicate'], ['ps', 'extra'], ['run'], ['exec', 'box'], ['images', '--frob'], ['stop', '--time', 'soon', 'box'], ['run', '--rm', '-d', busybox], ['--json', 'run', busybox], ['run', '--cpus', '-1', busybox]]) {
		const {code, stdout, stderr} = await keelson.run(...args);
		t.is(code, 2, args.join(' '));
		t.regex(stderr, /^keelson: [^\n]+\n$/, args.join(' '));
		t.is(stdout, '');
	}
});

test.serial('what is not there ends with 1', async t => {
	for (const args of [['rm', 'nobody'], ['stop', 'nobody'], ['exec', 'nobody', 'ls'], ['run', 'localhost/no:image'], ['run', '--rm', busybox, '/no/such']]) {
		const {code, stderr} = await keelson.run(...args);
		t.is(code, 1, args.join(' '));
		t.regex(stderr, /^keelson: [^\n]+\n$/, args.join(' '));
	}
	t.deepEqual(await keelson.json(t, 'ps'), []);
});

test('nobody at the address is said, with the address', async t => {
	const {code, stderr} = await command(keelsonPath, ['ps'], {env: {KEELSON_ADDRESS: '/nowhere/keelson.sock'}});
	t.deepEqual({code, stderr}, {code: 1, stderr: 'keelson: nobody answers: connect ENOENT /nowhere/keelson.sock\n'});
});

test('every command has --help', async t => {
	const {stdout} = await command(keelsonPath, ['--help']);
	const names = [...stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name]) => name ?? '');
	t.deepEqual(names, ['pull', 'images', 'import', 'export', 'run', 'ps', 'exec', 'stop', 'rm', 'events', 'plugins', 'version']);
	for (const name of names) {
		const {code, stdout: help} = await command(keelsonPath, [name, '--help']);
		t.is(code, 0);
		t.regex(help, new RegExp(`^Usage: keelson ${name} (?:.*\n)*.*--address`));
	}
});
