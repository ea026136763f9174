import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {copyFile, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import test from 'ava';
import {launcher, moduleOf, Room} from './room.ts';

const fixtures = join(import.meta.dirname, '../fixtures/containerd-config');

/** A configuration with these modules, and `more` above the tables. */
async function configWith(room: Room, modules: Readonly<Record<string, string>>, more = ''): Promise<string[]> {
	for (const [name, text] of Object.entries(modules)) {
		await room.write(name, text);
	}
	const names = Object.keys(modules).map((name) => `./${name}`);
	return ['--config', await room.write('config.toml', `modules = ${JSON.stringify(names)}\n${more}`)];
}

/** A copy of the launcher, and what it launches, which prints what it was given. */
async function launchersIn(bin: string): Promise<string> {
	await mkdir(bin, {recursive: true});
	await copyFile(launcher, join(bin, 'keelsond'));
	await copyFile(join(dirname(launcher), 'find-node.sh'), join(bin, 'find-node.sh'));
	await writeFile(join(bin, 'keelsond.js'), 'console.log(process.version, process.env.KEELSOND_BINARY)');
	return bin;
}

/** Installs this Node as a package that says of itself to be `version`; what it resolves with says another. */
async function nodePackage(room: Room, directory: string, version: string): Promise<(version: string) => Promise<void>> {
	const say = async (text: string): Promise<void> => {
		await room.write(`${directory}/package.json`, JSON.stringify({name: 'node-linux-test', version: text.replace('v', '')}, undefined, 2));
	};
	await say(version);
	await mkdir(join(room.path, directory, 'bin'));
	await symlink(process.execPath, join(room.path, directory, 'bin/node'));
	return say;
}

const talkative = moduleOf({id: 'io.test.a.v1.it', init: `
	log.info('a starts'); lifetime.defer(() => log.info('a has ended')); return {};`});

test.serial('SIGTERM and SIGINT stop the daemon in order with status 0, and SIGHUP does not', async (t) => {
	await using room = await Room.make();
	const config = await configWith(room, {'a.ts': talkative});
	for (const signal of ['SIGTERM', 'SIGINT'] as const) {
		const daemon = room.start(config);
		await daemon.prints('keelsond is ready');
		daemon.kill('SIGHUP');
		await daemon.prints('SIGHUP changes nothing');
		daemon.kill(signal);
		t.is(await daemon.ended, 0);
		t.regex(daemon.output, /a starts[^]*keelsond is ready[^]*keelsond stops[^]*a has ended[^]*keelsond has stopped/);
	}
});

test.serial('a second signal ends a daemon that hangs while stopping', async (t) => {
	await using room = await Room.make();
	const daemon = room.start(await configWith(room, {'a.ts': moduleOf({id: 'io.test.a.v1.it', init: 'lifetime.defer(() => new Promise(() => {})); return {};'})}));
	await daemon.prints('keelsond is ready');
	daemon.kill('SIGTERM');
	await daemon.prints('keelsond stops');
	daemon.kill('SIGTERM');
	t.is(await daemon.ended, 1);
});

test.serial('a signal during the start stops what has started', async (t) => {
	await using room = await Room.make();
	const daemon = room.start(await configWith(room, {'a.ts': talkative, 'b.ts': moduleOf({
		id: 'io.test.b.v1.it', requires: `{a: one(contract('io.test.a.v1').for())}`, init: `log.info('b waits'); await new Promise(() => {});`,
	})}));
	await daemon.prints('b waits');
	daemon.kill('SIGTERM');
	t.is(await daemon.ended, 0);
	t.regex(daemon.output, /a has ended/);
});

test.serial('an error that nobody handles is logged with its stack and ends the daemon', async (t) => {
	await using room = await Room.make();
	for (const how of ['setTimeout(() => { throw new TypeError("oh no"); })', 'Promise.reject(new TypeError("oh no"))']) {
		const {code, output} = await room.run(await configWith(room, {'a.ts': moduleOf({id: 'io.test.a.v1.it', init: `log.info('x'); ${how}; return {};`})}));
		t.is(code, 1);
		t.regex(output, /level=fatal msg="keelsond must end.*oh no.*a\.ts/);
	}
});

test.serial('a second daemon on the same root is told who has it; a killed one leaves no lock', async (t) => {
	await using room = await Room.make();
	const first = room.start(['--config', '/dev/null']);
	await first.prints('keelsond is ready');
	const {code, output} = await room.run(['--config', '/dev/null']);
	t.is(code, 1);
	t.true(output.endsWith(`keelsond: ${room.path}/root is in use by another daemon (pid ${first.pid})\n`), output);
	first.kill('SIGKILL');
	await first.ended;
	const third = room.start(['--config', '/dev/null']);
	await third.prints('keelsond is ready');
});

test.serial('the service manager is told of readiness and of the end, by path and by abstract name', async (t) => {
	await using room = await Room.make();
	const listener = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(60)
s.bind(sys.argv[1].replace("@", "\\0"))
print("bound", flush=True)
for i in range(2): print(s.recv(4096).decode(), flush=True)`;
	const config = await configWith(room, {'a.ts': moduleOf({id: 'io.test.a.v1.it', init: 'log.info(`it sees ${process.env.NOTIFY_SOCKET}`); return {};'})});
	for (const name of [join(room.path, 'notify.sock'), `@keelson-test-${process.pid}`]) {
		const python = spawn('python3', ['-c', listener, name], {stdio: ['ignore', 'pipe', 'inherit']});
		try {
			const chunks: string[] = [];
			const closed = once(python, 'close');
			python.stdout.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
			await once(python.stdout, 'data');
			const daemon = room.start(config, {NOTIFY_SOCKET: name});
			await daemon.prints('keelsond is ready');
			await daemon.prints('it sees undefined');
			daemon.kill('SIGTERM');
			t.is(await daemon.ended, 0);
			await closed;
			t.is(chunks.join(''), 'bound\nREADY=1\nSTOPPING=1\n');
		} finally {
			python.kill('SIGKILL');
		}
	}
});

test.serial('a service manager that is not there is no reason to fail', async (t) => {
	await using room = await Room.make();
	const daemon = room.start(['--config', '/dev/null'], {NOTIFY_SOCKET: join(room.path, 'gone.sock')});
	await daemon.prints('the service manager was not told');
	daemon.kill('SIGTERM');
	t.is(await daemon.ended, 0);
});

for (const release of ['1.6', '1.7', '2.1']) {
	test.serial(`the default configuration of containerd ${release} boots keelsond, and what nobody here knows is named with its place`, async (t) => {
		await using room = await Room.make();
		const path = join(fixtures, `${release}.toml`);
		const text = (await readFile(path, 'utf8')).split('\n');
		const daemon = room.start(['--config', path]);
		await daemon.prints('keelsond is ready');
		t.notRegex(daemon.output, /level=(?:error|fatal)/);
		const line = text.findIndex((each) => each.includes('io.containerd.snapshotter.v1.btrfs')) + 1;
		t.true(daemon.output.includes(`no plugin io.containerd.snapshotter.v1.btrfs is here to read its table (${path}:${line}:4)`));
		t.deepEqual([(await readdir(room.path)).includes('root')], [true]);
		const check = await room.run(['--config', path, 'config', 'check']);
		t.is(check.code, 1);
		t.true(check.output.includes(`no plugin io.containerd.snapshotter.v1.btrfs is here to read its table (${path}:${line}:4)\n`));
	});
}

test.serial('under `strict` an unknown key is an error', async (t) => {
	await using room = await Room.make();
	const {code, output} = await room.run(await configWith(room, {}, 'strict = true\nfoo = 1'));
	t.is(code, 1);
	t.regex(output, /keelsond: config is strict, and key foo \(.*config\.toml:3:1\) is unknown to the daemon\n$/);
});

test.serial('`config check` prints each problem on a line, with its place', async (t) => {
	await using room = await Room.make();
	const args = await configWith(room, {
		'a.ts': moduleOf({id: 'io.test.a.v1.it', requires: `{x: one(contract('io.test.x.v1').for())}`}),
		'b.ts': moduleOf({id: 'io.test.b.v1.it', config: 'z.strictObject({size: z.number()})'}),
		'c.ts': moduleOf({id: 'io.test.b.v1.it'}),
	}, 'disabled_plugins = ["nobody"]\n[plugins."io.test.b.v1.it"]\nsize = "big"\nsise = 1');
	const file = join(room.path, 'config.toml');
	const {code, output} = await room.run([...args, 'config', 'check']);
	t.is(code, 1);
	const mine = output.split('\n').filter((line) => line.includes(room.path) || line.includes('io.test'));
	t.deepEqual(mine.toSorted(), [
		`config of plugin io.test.b.v1.it: key size (${file}:4:1) is "big": Invalid input: expected number, received string`,
		`disabled_plugins names nobody (${file}:2:21), which is not here`,
		`key sise (${file}:5:1) is unknown to plugin io.test.b.v1.it`,
		`plugin io.test.a.v1.it of module ./a.ts (${file}:1:12) cannot start: nothing provides io.test.x.v1`,
		`plugin io.test.b.v1.it of module ./c.ts (${file}:1:30) is left out: the one of module ./b.ts (${file}:1:21) has the same id`,
	]);
});

test.serial('a plugin that is slow to start is named with its module and the place that names it', async (t) => {
	await using room = await Room.make();
	const args = await configWith(room, {'slow.ts': moduleOf({id: 'io.test.slow.v1.it', more: 'initTimeoutMs: 50,', init: 'await new Promise(() => {});'})}, 'required_plugins = ["io.test.slow.v1.it"]');
	const {code, output} = await room.run(args);
	t.is(code, 1);
	const file = join(room.path, 'config.toml');
	t.true(output.includes(`plugin io.test.slow.v1.it of module ./slow.ts (${file}:1:12) is not ready after 50 ms: it waits for something`), output);
});

test.serial('`config default` is a configuration that has nothing wrong, and `config dump` shows what was merged', async (t) => {
	await using room = await Room.make();
	const standard = await room.run(['config', 'default']);
	t.is(standard.code, 0);
	t.regex(standard.output, /^version = 4\n[^]*root = "\/var\/lib\/keelson"[^]*address = "\/run\/keelson\/keelson\.sock"/);
	const path = await room.write('default.toml', standard.output);
	t.deepEqual(await room.run(['--config', path, 'config', 'check']), {code: 0, output: ''});

	const schema = 'z.strictObject({size: z.number().default(3), wait: z.string().default("10s").transform((text) => text.length), inner: z.strictObject({x: z.number().default(1)}).prefault({})})';
	const args = await configWith(room, {'a.ts': moduleOf({id: 'io.test.a.v1.it', config: schema})}, '[plugins."io.test.a.v1.it"]\ninner.x = 2');
	const {output} = await room.run([...args, 'config', 'dump']);
	t.true(output.includes(`modules = [ "${room.path}/a.ts" ]`), output);
	t.true(output.includes('[plugins."io.test.a.v1.it"]\nsize = 3\nwait = "10s"\n\n[plugins."io.test.a.v1.it".inner]\nx = 2\n'), output);
	t.true(output.includes(`root = "${room.path}/root"`));
});

test.serial('flags count more than files, and a wrong one is named', async (t) => {
	await using room = await Room.make();
	const {output} = await room.run([...await configWith(room, {}, 'root = "/x"\n[debug]\nlevel = "debug"'), '-l', 'error', '--log-format', 'json', 'config', 'dump']);
	t.regex(output, /root = ".*\/root"[^]*level = "error"\nformat = "json"[^]*\[plugins\."io\.containerd\.server\.v1\.grpc"\]\naddress = ".*\/k\.sock"/);
	t.like(await room.run(['-l', 'loud']), {code: 1});
	t.like(await room.run(['--nonsense']), {code: 1});
	t.like(await room.run(['nonsense']), {code: 1});
	t.like(await room.run(['--config', '/nowhere.toml']), {code: 1});
	t.regex((await room.run(['--version'])).output, /^keelsond keelson \d+\.\d+\.\d+/);
	t.regex((await room.run(['--help'])).output, /Usage: keelsond/);
});

test.serial('the daemon needs less than 2 s of a processor to be ready with thirty plugins', async (t) => {
	await using room = await Room.make();
	const modules = Object.fromEntries(Array.from({length: 30}, (_, index) => [`p${index}.ts`, moduleOf({id: `io.test.p${index}.v1.it`})]));
	const daemon = room.start(await configWith(room, modules));
	await daemon.prints('keelsond is ready');
	// Its own time and the system's for it, in hundredths (proc(5)): how long that takes depends on what else the machine does.
	const [user, system] = (await readFile(`/proc/${daemon.pid}/stat`, 'utf8')).split(' ').slice(13, 15).map(Number);
	const seconds = ((user ?? NaN) + (system ?? NaN)) / 100;
	t.true(seconds < 2, `${seconds} s`);
});

test.serial('the daemon takes the score for the out-of-memory killer and the temporary directory that are configured', async (t) => {
	await using room = await Room.make();
	const init = 'log.info(`TMPDIR is ${process.env.TMPDIR}`); return {};';
	const daemon = room.start(await configWith(room, {'a.ts': moduleOf({id: 'io.test.a.v1.it', init})}, `oom_score = 7\ntemp = "${room.path}/tmp"`));
	await daemon.prints('keelsond is ready');
	t.is(await readFile(`/proc/${daemon.pid}/oom_score_adj`, 'utf8'), '7\n');
	t.true(daemon.output.includes(`TMPDIR is ${room.path}/tmp`));
	t.true((await readdir(room.path)).includes('tmp'));
});

test.serial('a required plugin that fails, or is not there, keeps the daemon from starting', async (t) => {
	await using room = await Room.make();
	const {code, output} = await room.run(await configWith(room, {'a.ts': moduleOf({id: 'io.test.a.v1.it', init: 'throw new Error("no luck");'})}, 'required_plugins = ["it", "io.test.b.v1.it"]'));
	t.is(code, 1);
	const file = `${room.path}/config.toml`;
	t.true(output.endsWith(`keelsond: required plugins did not start: it (${file}:2:21): no luck; io.test.b.v1.it (${file}:2:27): no module provides it, or it is disabled\n`), output);
});

test.serial('a root directory that cannot be made is named', async (t) => {
	await using room = await Room.make();
	const file = await room.write('file', '');
	const {code, output} = await room.run(['--config', '/dev/null', '--root', `${file}/root`]);
	t.is(code, 1);
	t.true(output.includes(`keelsond: ${file}/root cannot be made: ENOTDIR`), output);
});

test.serial('the launcher works through a link, and from within a dependent package', async (t) => {
	await using room = await Room.make();
	const link = join(room.path, 'keelsond');
	await symlink(launcher, link);
	const daemon = room.start(['--version'], {}, link);
	t.is(await daemon.ended, 0);

	const bin = await launchersIn(join(room.path, 'app/node_modules/keelson/bin'));
	await nodePackage(room, 'app/node_modules/node-linux-test', process.version);
	const packed = room.start([], {PATH: '/usr/bin:/bin'}, join(bin, 'keelsond'));
	t.is(await packed.ended, 0);
	t.is(packed.output, `${process.version} ${bin}/keelsond\n`);
});

test.serial('the launcher takes the Node beside it before the one on PATH, and either only when it is new enough', async (t) => {
	await using room = await Room.make();
	const bin = await launchersIn(join(room.path, 'app/bin'));
	const run = async (PATH: string): Promise<{code: number | null; output: string}> => {
		const daemon = room.start([], {PATH}, join(bin, 'keelsond'));
		return {code: await daemon.ended, output: daemon.output};
	};
	const works = {code: 0, output: `${process.version} ${bin}/keelsond\n`};
	await room.write('old/node', '#!/bin/sh\necho 20\n', 0o755);
	await room.write('new/node', `#!/bin/sh\nexec ${process.execPath} "$@"\n`, 0o755);
	const [none, old, recent] = ['/usr/bin:/bin', `${room.path}/old:/usr/bin:/bin`, `${room.path}/new:/usr/bin:/bin`];
	t.is((await run(old)).code, 1);
	t.deepEqual(await run(recent), works);
	const own = await nodePackage(room, 'app/node_modules/node-linux-test', '22.1.0');
	t.is((await run(old)).code, 1, 'one beside it that is too old does not count');
	t.deepEqual(await run(recent), works);
	await own('24.0.0');
	t.deepEqual(await run(old), works);
	t.deepEqual(await run(none), works);
});

test.serial('without a Node that is new enough the launcher says so in one sentence', async (t) => {
	await using room = await Room.make();
	const bin = await launchersIn(join(room.path, 'bin'));
	await room.write('old/node', '#!/bin/sh\necho 20\n', 0o755);
	await room.write('broken/node', '#!/bin/sh\nexit 1\n', 0o755);
	// What the launcher calls, and no Node, wherever the system has one.
	const programs = join(room.path, 'programs');
	await mkdir(programs);
	for (const name of ['readlink', 'sed']) {
		await symlink(`/usr/bin/${name}`, join(programs, name));
	}
	for (const PATH of [`${room.path}/old:${programs}`, `${room.path}/broken:${programs}`, programs]) {
		const daemon = room.start([], {PATH}, join(bin, 'keelsond'));
		t.is(await daemon.ended, 1);
		t.is(daemon.output, `keelsond needs Node 24 or newer, and found none beside itself or on PATH: run npm install in ${room.path}\n`);
	}
});
