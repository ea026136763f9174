import {chmod, chown, symlink} from 'node:fs/promises';
import test from 'ava';
import {Config} from '../../kernel/config.ts';
import {loadModules, type Loaded} from '../../kernel/loader.ts';
import {kernelUrl, moduleOf, preamble, Room} from './room.ts';

async function load(room: Room, modules: readonly string[], more = ''): Promise<{ids: string[]; failures: Loaded['failures']; messages: string[]}> {
	const file = await room.write('config.toml', `root = "/r"\nstate = "/s"\nmodules = ${JSON.stringify(modules)}\n${more}`);
	const {plugins, failures} = await loadModules(await Config.load({files: [file]}));
	return {ids: plugins.map(({id}) => id), failures, messages: failures.map(({error}) => error.message.replaceAll(room.path, ''))};
}

const good = moduleOf({id: 'io.test.a.v1.it'});

test('a module is a file, a directory or a package, seen from the file that names it', async (t) => {
	await using room = await Room.make();
	await room.write('one.ts', good);
	await room.write('two/plugin.ts', moduleOf({id: 'io.test.b.v1.it'}));
	await room.write('node_modules/@x/three/package.json', '{"name": "@x/three", "type": "module", "exports": {".": {"import": "./lib/main.js"}}}');
	await room.write('node_modules/@x/three/lib/main.js', moduleOf({id: 'io.test.c.v1.it'}));
	await room.write('compiled/plugin.js', moduleOf({id: 'io.test.d.v1.it'}));
	const {ids, messages} = await load(room, ['./one.ts', `${room.path}/two`, '@x/three', './compiled/plugin.ts', './one.ts', './two/../one.ts']);
	t.deepEqual(messages, []);
	t.deepEqual(ids, ['io.test.a.v1.it', 'io.test.b.v1.it', 'io.test.c.v1.it', 'io.test.d.v1.it']);
});

test('a module may export several plugins', async (t) => {
	await using room = await Room.make();
	const make = (name: string): string => `definePlugin({id: 'io.test.${name}.v1.it', provides: contract('io.test.${name}.v1').for(), requires: {}, config: {}, init() {}})`;
	await room.write('many.ts', `import {contract, definePlugin} from '${kernelUrl}';\nexport const plugin = [${make('a')}, ${make('b')}];`);
	t.deepEqual((await load(room, ['./many.ts'])).ids, ['io.test.a.v1.it', 'io.test.b.v1.it']);
});

const making = (body: string): string => `${preamble}
const make = (name) => definePlugin({id: \`io.test.\${name}.v1.it\`, provides: contract(\`io.test.\${name}.v1\`).for(), requires: {}, config: z.strictObject({}), init() {}});
export const plugin = definePlugins((config, refuse) => { ${body} });
`;

test('a module may make its plugins of the configuration, which it cannot change', async (t) => {
	await using room = await Room.make();
	await room.write('makes.ts', making('return Object.keys(config.timeouts).map(make);'));
	await room.write('none.ts', making('return [];'));
	await room.write('writes.ts', making('config.timeouts.x = "2s"; return [];'));
	const {ids, messages} = await load(room, ['./makes.ts', './none.ts', './writes.ts'], '[timeouts]\na = "1s"\nb = "1s"\n');
	t.deepEqual(ids, ['io.test.a.v1.it', 'io.test.b.v1.it']);
	t.is(messages.length, 1);
	t.regex(messages[0] ?? '', /^module \.\/writes\.ts \(\/config\.toml:3:37\) cannot be loaded: .*not extensible/);
});

test('what a module refuses of the configuration is named with its place, and spoils nothing else', async (t) => {
	await using room = await Room.make();
	await room.write('makes.ts', making('refuse(["timeouts", "b"], "is too long"); refuse(["timeouts", "c"], "is not there"); return [make("a")];'));
	const {ids, messages, failures} = await load(room, ['./makes.ts'], '[timeouts]\na = "1s"\n  b = "9s"\n');
	t.deepEqual(ids, ['io.test.a.v1.it']);
	t.deepEqual(messages, [
		'config of module ./makes.ts: key timeouts.b (/config.toml:6:3) is too long',
		'config of module ./makes.ts: key timeouts.c (/config.toml:4:2) is not there',
	]);
	t.deepEqual(failures.map(({id}) => id), ['io.keelson.module.v1.timeouts.b', 'io.keelson.module.v1.timeouts.c']);
});

test('a module whose function throws, or makes what is no plugin, cannot be loaded', async (t) => {
	await using room = await Room.make();
	await room.write('throws.ts', making('throw new Error("no luck");'));
	await room.write('other.ts', making('return [{id: "io.test.a.v1.it"}];'));
	await room.write('plain.ts', 'export const plugin = () => [];');
	const {ids, messages} = await load(room, ['./throws.ts', './other.ts', './plain.ts']);
	t.deepEqual(ids, []);
	t.deepEqual(messages.toSorted(), [
		'module ./other.ts (/config.toml:3:26) cannot be loaded: its `plugin` was not made by definePlugin',
		'module ./plain.ts (/config.toml:3:39) cannot be loaded: its `plugin` was not made by definePlugin',
		'module ./throws.ts (/config.toml:3:12) cannot be loaded: no luck',
	]);
});

test('a module that is not there, or no module, is named with its place, and keeps no other', async (t) => {
	await using room = await Room.make();
	await room.write('good.ts', good);
	await room.write('broken.ts', 'export const = 3;');
	await room.write('broken.js', '\nexport const = 3;');
	await room.write('throws.ts', 'throw new Error("no luck");');
	await room.write('empty.ts', 'export const plug = 3;');
	await room.write('other.ts', 'export const plugin = {id: "io.test.a.v1.it"};');
	await room.write('wants.ts', 'import "nowhere-to-be-found";');
	const {ids, messages, failures} = await load(room, ['./gone.ts', './broken.ts', './broken.js', './throws.ts', './empty.ts', './other.ts', './wants.ts', 'no-such-package', './good.ts']);
	t.deepEqual(ids, ['io.test.a.v1.it']);
	t.is(failures.length, 8);
	const of = (name: string): string => messages.find((message) => message.startsWith(`module ${name} `)) ?? '';
	t.is(of('./gone.ts'), 'module ./gone.ts (/config.toml:3:12) cannot be loaded: there is no file /gone.ts, and no plugin.ts or plugin.js in a directory of that name');
	t.regex(of('./broken.ts'), /^module \.\/broken\.ts \(\/config\.toml:3:24\) cannot be loaded: .*\/broken\.ts:1: /);
	t.regex(of('./broken.js'), /^module \.\/broken\.js .*Unexpected token/);
	t.regex(of('./throws.ts'), /cannot be loaded: no luck$/);
	t.regex(of('./empty.ts'), /it exports no `plugin`$/);
	t.regex(of('./other.ts'), /its `plugin` was not made by definePlugin$/);
	t.regex(of('./wants.ts'), /Cannot find package 'nowhere-to-be-found'/);
	t.regex(of('no-such-package'), /\(\/config\.toml:3:\d+\) cannot be loaded: Cannot find package 'no-such-package'/);
});

test('a module that never finishes loading is given up', async (t) => {
	await using room = await Room.make();
	await room.write('slow.js', 'await new Promise((done) => { setTimeout(done, 30_000).unref(); });');
	const {messages} = await load(room, ['./slow.js']);
	t.deepEqual(messages, ['module ./slow.js (/config.toml:3:12) cannot be loaded: it has not loaded after 10000 ms: it waits at its top level']);
});

test('a plugin that was made for another kernel, or has a foreign id, is named with its module', async (t) => {
	await using room = await Room.make();
	await room.write('old.ts', `export const plugin = {[Symbol.for('io.keelson.plugin')]: 99, id: 'io.test.old.v1.it'};`);
	await room.write('odd.ts', good.replace('io.test.a.v1.it', 'io.test.b.v1.it'));
	const {ids, failures, messages} = await load(room, ['./old.ts', './odd.ts']);
	t.deepEqual(ids, []);
	t.deepEqual(failures.map(({id}) => id).toSorted(), ['io.test.b.v1.it', 'io.test.old.v1.it']);
	t.deepEqual(messages.toSorted(), [
		'plugin io.test.b.v1.it of module ./odd.ts (/config.toml:3:23) provides io.test.a.v1, with which its id must begin',
		'plugin io.test.old.v1.it of module ./old.ts (/config.toml:3:12) was made for plugin API 99, this kernel has 1',
	]);
});

test('a module that others may write is refused, and so is one below a directory that they may write', async (t) => {
	await using room = await Room.make();
	await room.write('open.ts', good, 0o646);
	await room.write('open/inner/plugin.ts', good);
	await room.write('sticky/inner/plugin.ts', good);
	await room.write('other/open.ts', good, 0o622);
	await symlink(`${room.path}/other/open.ts`, `${room.path}/link.ts`);
	await chmod(`${room.path}/open`, 0o777);
	await chmod(`${room.path}/sticky`, 0o1777);
	const {ids, messages} = await load(room, ['./open.ts', './link.ts', './open/inner', './sticky/inner']);
	t.deepEqual(ids, ['io.test.a.v1.it']);
	t.deepEqual(messages.toSorted(), [
		'module ./link.ts (/config.toml:3:24) cannot be loaded: /other/open.ts is writable by everyone (mode 622)',
		'module ./open.ts (/config.toml:3:12) cannot be loaded: /open.ts is writable by everyone (mode 646)',
		'module ./open/inner (/config.toml:3:36) cannot be loaded: /open is writable by everyone (mode 777)',
	]);
});

test('a module of a user who is neither root nor the daemon is refused', async (t) => {
	await using room = await Room.make();
	const path = await room.write('foreign.ts', good);
	await room.write('dir/plugin.ts', good);
	await chown(path, 12_345, 0);
	await chown(`${room.path}/dir`, 12_345, 0);
	t.deepEqual((await load(room, ['./foreign.ts', './dir'])).messages.toSorted(), [
		`module ./dir (/config.toml:3:27) cannot be loaded: /dir is owned by user 12345, neither root nor the daemon's user 0`,
		`module ./foreign.ts (/config.toml:3:12) cannot be loaded: /foreign.ts is owned by user 12345, neither root nor the daemon's user 0`,
	]);
});
