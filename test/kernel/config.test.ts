import test from 'ava';
import * as z from 'zod';
import {Config} from '../../kernel/config.ts';
import {contract, definePlugin, type Plugin} from '../../kernel/index.ts';
import {plugin} from './plugins.ts';
import {Room} from './room.ts';

const base = 'root = "/r"\nstate = "/s"\n';

/** Loads `main.toml` of a room that has these files. */
async function load(room: Room, files: Readonly<Record<string, string>>): Promise<Config> {
	const builtIn = await room.write('built-in.toml', base);
	for (const [name, text] of Object.entries(files)) {
		await room.write(name, text);
	}
	return Config.load({builtIn, files: [`${room.path}/main.toml`]});
}

async function tableOf(config: Config, one: Plugin, others: readonly Plugin[] = []): Promise<unknown> {
	const {tables} = await config.check([one, ...others]);
	const checked = tables.get(one);
	return checked?.error?.message ?? checked?.value;
}

const anything = plugin('a', {config: z.record(z.string(), z.unknown())});
const OWN = '"io.test.a.v1.it"';

test('imports are globs relative to their file, read breadth first, each once, circles too', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {
		'main.toml': 'imports = ["conf.d/*.toml"]\noom_score = 1',
		'conf.d/1.toml': 'imports = ["../main.toml", "deep/3.toml"]\noom_score = 2\ntemp = "/one"',
		'conf.d/2.toml': 'oom_score = 3',
		'conf.d/deep/3.toml': 'oom_score = 4\nimports = ["/nowhere/*.toml"]',
	});
	t.is(config.daemon.oom_score, 4);
	t.is(config.daemon.temp, '/one');
});

test('a file that is imported by name and not there is an error that names it', async (t) => {
	await using room = await Room.make();
	await t.throwsAsync(load(room, {'main.toml': 'imports = ["gone.toml"]'}), {message: new RegExp(`config ${room.path}/gone.toml cannot be read: ENOENT`)});
});

test('a later file overrides with what is not empty, adds to arrays, and merges tables', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {
		'main.toml': `imports = ["over.toml"]\ntemp = "/t"\noom_score = 5\ndisabled_plugins = ["a", "b"]\n[grpc]\naddress = "/a"\nuid = 4
			[timeouts]\nx = "1s"\ny = "1s"\n[proxy_plugins.p]\ntype = "t"\naddress = "/p"\nplatform = "x"\n[plugins.${OWN}]\na = 1\nb = true\nlist = [1]\ndeep = {x = 1, y = 2}`,
		'over.toml': `temp = ""\noom_score = 0\ndisabled_plugins = ["b", "c"]\n[grpc]\naddress = ""\nuid = 6
			[timeouts]\ny = "2s"\n[proxy_plugins.p]\ntype = "u"\naddress = "/q"\n[plugins.${OWN}]\nb = false\nlist = [2]\ndeep = {y = 0}`,
	});
	const {temp, oom_score: oomScore, disabled_plugins: disabled, grpc, timeouts, proxy_plugins: proxies} = config.daemon;
	t.like({temp, oomScore, disabled, grpc}, {temp: '/t', oomScore: 5, disabled: ['a', 'b', 'c'], grpc: {address: '/a', uid: 6}});
	t.deepEqual({timeouts, proxies}, {timeouts: {x: '1s', y: '2s'}, proxies: {p: {type: 'u', address: '/q'}}});
	t.deepEqual(await tableOf(config, anything), {a: 1, b: false, list: [2], deep: {x: 1, y: 0}});
});

test('a key named __proto__ is a key like another', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': `imports = ["over.toml"]\n[plugins.${OWN}]\nx = 1`, 'over.toml': `[plugins.${OWN}]\n__proto__ = {polluted = 1}`});
	t.notThrows(() => config.daemon);
	t.is(({} as Record<string, unknown>)['polluted'], undefined);
});

test('unknown keys and tables are named with file, line and column', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {
		'main.toml': `imports = ["sub.toml"]\nfoo = 1\n[grpc]\n  adress = ""\n[plugins.${OWN}]\nsize = 1\n  sise = 2\ninner = {good = 1, bad = 2}\n[[plugins.${OWN}.rows]]\ngood = 1\n[[plugins.${OWN}.rows]]\nbad = 1`,
		'sub.toml': '\n [plugins."io.test.none.v1.it"]\nx = 1\n[plugins.short]\n',
	});
	const strict = z.strictObject({good: z.number().default(0)});
	const one = plugin('a', {config: z.strictObject({size: z.number(), inner: strict, rows: z.array(strict)})});
	const {tables, unknown} = await config.check([one]);
	t.deepEqual(tables.get(one)?.value, {size: 1, inner: {good: 1}, rows: [{good: 1}, {good: 0}]});
	const main = `${room.path}/main.toml`;
	t.deepEqual(unknown, [
		`key adress (${main}:4:3) is unknown to the daemon`,
		`key foo (${main}:2:1) is unknown to the daemon`,
		`key bad (${main}:8:20) is unknown to plugin io.test.a.v1.it`,
		`key bad (${main}:12:1) is unknown to plugin io.test.a.v1.it`,
		`key sise (${main}:7:3) is unknown to plugin io.test.a.v1.it`,
		`no plugin io.test.none.v1.it is here to read its table (${room.path}/sub.toml:2:3)`,
		`no plugin short is here to read its table (${room.path}/sub.toml:4:2)`,
	]);
});

test('a wrong value names plugin, key, place, value and what was expected', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': `[plugins.${OWN}]\n  deep = {size = "big"}\nextra = 1`});
	const one = plugin('a', {config: z.strictObject({deep: z.strictObject({size: z.number()}), name: z.string()})});
	t.is(await tableOf(config, one), `config of plugin io.test.a.v1.it: key deep.size (${room.path}/main.toml:2:11) is "big": Invalid input: expected number, received string; `
		+ `key name (${room.path}/main.toml:1:2) is not set: Invalid input: expected string, received undefined`);
});

test('a wrong value of the daemon itself is refused with its place', async (t) => {
	await using room = await Room.make();
	await t.throwsAsync(load(room, {'main.toml': '[debug]\nlevel = "loud"'}), {message: new RegExp(`key debug.level \\(${room.path}/main.toml:2:1\\) is "loud": Invalid option: expected one of`)});
	await t.throwsAsync(load(room, {'main.toml': 'plugins = 3'}), {message: /key plugins \(.*main.toml:1:1\) is 3/});
	await t.throwsAsync(load(room, {'main.toml': 'modules = 3'}), {message: /key modules \(.*main.toml:1:1\) is 3/});
});

test('what is no TOML is refused with line and column', async (t) => {
	await using room = await Room.make();
	await t.throwsAsync(load(room, {'main.toml': 'root = "/r"\nstate = /s'}), {message: new RegExp(`^config ${room.path}/main.toml:2:\\d+: `)});
});

test('a version that is not of this daemon is refused', async (t) => {
	await using room = await Room.make();
	for (const version of ['5', '0', '"2"', '1.5']) {
		await t.throwsAsync(load(room, {'main.toml': `version = ${version}`}), {message: new RegExp(`main.toml has version ${version}, this daemon reads 1 to 4`)});
	}
});

test('format 1 calls plugins by the last part of their id, and keeps the place of what it has', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': 'version = 1\n[plugins.it]\nsize = 1\n[plugins.bolt]\npolicy = "x"\n[plugins.cri]\n[plugins.it.more]\nx = 1'});
	const one = plugin('a', {aliases: ['io.other.a.v1.bolt'], config: z.strictObject({size: z.number(), policy: z.string()})});
	t.deepEqual(await tableOf(config, one), {size: 1, policy: 'x'});
	const {unknown} = await config.check([one]);
	t.deepEqual(unknown, [`key more (${room.path}/main.toml:7:2) is unknown to plugin io.test.a.v1.it`, `no plugin cri is here to read its table (${room.path}/main.toml:6:2)`]);
});

test('servers have tables of their own until format 3 and are plugins since 4: both say the same', async (t) => {
	await using room = await Room.make();
	const server = 'plugins."io.containerd.server.v1';
	const old = await load(room, {'main.toml': 'version = 2\n[grpc]\naddress = "/a"\nuid = 3\ntcp_address = "x:1"\n[debug]\nlevel = "warn"\n[metrics]\naddress = "m"'});
	const newer = await load(room, {'main.toml': `version = 4\n[${server}.grpc"]\naddress = "/a"\nuid = 3\n[${server}.grpc-tcp"]\naddress = "x:1"\nadress = ""
		[${server}.debug"]\nlevel = "warn"\n[${server}.metrics"]\naddress = "m"`});
	t.deepEqual({...newer.daemon, ttrpc: undefined}, {...old.daemon, ttrpc: undefined, plugins: {}});
	t.deepEqual(old.daemon.ttrpc, {address: '/a.ttrpc', uid: 3, gid: 0});
	t.deepEqual(newer.daemon.ttrpc, {address: '/a.ttrpc', uid: 0, gid: 0});
	const {unknown} = await newer.check([]);
	t.deepEqual(unknown, [`key tcp_adress (${room.path}/main.toml:7:1) is unknown to the daemon`]);
});

test('the table of a server belongs to the daemon and to its plugin: a key counts as known when either knows it', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': '[grpc]\naddress = "/a"\nuid = 3\nmode = 1\nsise = 1'});
	const schema = z.strictObject({address: z.string(), mode: z.number()});
	const server = definePlugin({id: 'io.containerd.server.v1.grpc', provides: contract('io.containerd.server.v1').for(), requires: {}, config: schema, init() {}});
	t.deepEqual(await tableOf(config, server), {address: '/a', mode: 1});
	t.deepEqual((await config.check([server])).unknown, [`key sise (${room.path}/main.toml:5:1) is unknown to the daemon and plugin io.containerd.server.v1.grpc`]);
});

test('tables of aliases count for a plugin, below its own', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': `[plugins."io.x.y.v1.old"]\na = 1\nb = 1\n[plugins.${OWN}]\nb = 2\n[plugins."io.x.y.v1.older"]\na = 0\nc = 0`});
	const one = plugin('a', {aliases: ['io.x.y.v1.older', 'io.x.y.v1.old'], config: z.strictObject({a: z.number(), b: z.number(), c: z.number()})});
	t.deepEqual(await tableOf(config, one), {a: 1, b: 2, c: 0});
	t.deepEqual((await config.check([one])).unknown, []);
});

test('a key of a table that several plugins read is unknown when none of them knows it', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': '[plugins."io.x.y.v1.shared"]\na = 1\nb = 1\nc = 1'});
	const aliases = ['io.x.y.v1.shared'];
	const plugins = [plugin('a', {aliases, config: z.strictObject({a: z.number()})}), plugin('b', {aliases, config: z.strictObject({b: z.number()})})];
	const {unknown, tables} = await config.check(plugins);
	t.deepEqual(plugins.map((each) => tables.get(each)?.value), [{a: 1}, {b: 1}]);
	t.deepEqual(unknown, [`key c (${room.path}/main.toml:4:1) is unknown to plugin io.test.a.v1.it and plugin io.test.b.v1.it`]);
});

test('a key that the last of several files has wrong is looked for there', async (t) => {
	await using room = await Room.make();
	const config = await load(room, {'main.toml': `imports = ["over.toml"]\n[plugins.${OWN}]\nsize = 1`, 'over.toml': `\n\n[plugins]\n${OWN}.size = "x"`});
	t.regex(String(await tableOf(config, plugin('a', {config: z.strictObject({size: z.number()})}))), /over\.toml:4:1\) is "x"/);
});
