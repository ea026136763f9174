import {randomBytes} from 'node:crypto';
import {createReadStream} from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {Authority} from '../helpers/authority.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {Registry} from '../helpers/registry.ts';
import {TokenServer} from '../helpers/token-server.ts';
import {clientOf, pushBytes, pushSmallImage, readAll, treeOf} from './client.ts';

/** Debian's docker-registry, with a token server, TLS of its own authority, an object store. */
let authority: Authority;

test.before(async () => {
	authority = await Authority.create();
});

test.after.always(async () => {
	await authority[Symbol.asyncDispose]();
});

const all = ['pull', 'push'];

async function guarded(rights: {readonly anonymous?: Readonly<Record<string, readonly string[]>>; readonly mine?: Readonly<Record<string, readonly string[]>>} = {}): Promise<{registry: Registry; tokens: TokenServer} & AsyncDisposable> {
	await using starting = new AsyncDisposableStack();
	const tokens = starting.use(await TokenServer.start(authority.root, {
		accounts: [{secret: 'me:word', rights: rights.mine ?? {'*': all}}, {secret: 'a-refresh-token', rights: {'*': all}}],
		anonymous: rights.anonymous ?? {},
	}));
	const registry = starting.use(await Registry.start({token: {realm: tokens.realm, certificateFile: authority.root.certificateFile}}));
	const ending = starting.move();
	return {registry, tokens, [Symbol.asyncDispose]: async () => ending.disposeAsync()};
}

test('with a name and a password, or a refresh token, an image is pushed and pulled; without, it is not', async t => {
	await using house = await guarded();
	const {registry: {host}, tokens} = house;
	await using client = clientOf();
	const layer = randomBytes(100_000);
	await using target = await client.target(`${host}/a/b:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	const pushed = await pushSmallImage(target, layer);
	// One token for all that a push asks: scopes of one repository are one wish.
	t.is(tokens.asked.length, 1);
	t.is(new URL(tokens.asked[0]?.url ?? '', 'http://x').searchParams.get('scope'), 'repository:a/b:pull,push');
	await using repository = await client.resolve(`${host}/a/b:1`, {credentials: async () => ({username: '', secret: 'a-refresh-token'})});
	t.is(repository.descriptor.digest, pushed.manifest.digest);
	t.deepEqual(await readAll(repository.open(pushed.layer)), layer);
	t.is(tokens.asked.length, 2);
	t.is(tokens.asked[1]?.method, 'POST');
	await t.throwsAsync(client.resolve(`${host}/a/b:1`), {code: 'UNAUTHENTICATED'});
	await t.throwsAsync(client.resolve(`${host}/a/b:1`, {credentials: async () => ({username: 'me', secret: 'wrong'})}), {code: 'UNAUTHENTICATED'});
});

test('what everybody may read is read without credentials, and with old ones from a file', async t => {
	await using house = await guarded({anonymous: {open: ['pull']}});
	const {registry: {host}} = house;
	await using client = clientOf();
	await using target = await client.target(`${host}/open:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	const {manifest} = await pushSmallImage(target, randomBytes(1000));
	await using repository = await client.resolve(`${host}/open:1`);
	t.is(repository.descriptor.digest, manifest.digest);
	await using filed = clientOf({credentials: [async () => ({username: 'me', secret: 'old'})]});
	await using again = await filed.resolve(`${host}/open:1`);
	t.is(again.descriptor.digest, manifest.digest);
});

test('a mount asks for the right to read its source, and who has not got it sends the bytes', async t => {
	await using house = await guarded({mine: {secret: ['pull', 'push'], mine: all, yours: all}});
	const {registry: {host}, tokens} = house;
	await using client = clientOf();
	const options = {credentials: async () => ({username: 'me', secret: 'word'})};
	const bytes = randomBytes(5000);
	await using source = await client.target(`${host}/secret:1`, options);
	const {layer} = await pushSmallImage(source, bytes);
	await using target = await client.target(`${host}/mine:1`, options);
	t.false(await pushBytes(target, layer, bytes, {mountFrom: 'secret'}));
	t.deepEqual(new URL(tokens.asked.at(-1)?.url ?? '', 'http://x').searchParams.getAll('scope'), ['repository:mine:pull,push', 'repository:secret:pull']);
	await using other = await client.target(`${host}/yours:1`, options);
	t.true(await pushBytes(other, layer, bytes, {mountFrom: 'nobody-has-it'}));
	await using repository = await client.target(`${host}/yours:1`, options);
	t.false(await pushBytes(repository, layer, bytes));
});

test('a registry of an authority that nobody knows is believed where hosts.toml says so', async t => {
	const server = await authority.issue('server');
	await using registry = await Registry.start({tls: server});
	const {host} = registry;
	const open = async (toml: string | undefined, reference = `${host}/tls:1`): Promise<string> => {
		const directory = await treeOf(t, toml === undefined ? {} : {[`${host.replace(/:(\d+)$/, '_$1_')}/hosts.toml`]: toml, [`${host.replace(/:(\d+)$/, '_$1_')}/ca.crt`]: authority.root.certificate});
		await using client = clientOf({hostDirectories: [directory]});
		await using repository = await client.resolve(reference, {defaultScheme: 'https'});
		return repository.descriptor.digest;
	};
	const directory = await treeOf(t, {[`${host}/hosts.toml`]: `server = "https://${host}"\nskip_verify = true\n`});
	await using pushing = clientOf({hostDirectories: [directory]});
	await using target = await pushing.target(`${host}/tls:1`);
	const {manifest} = await pushSmallImage(target, randomBytes(1000));
	t.is(await open(`server = "https://${host}"\nca = "ca.crt"\n`), manifest.digest);
	// Without server the registry is its own.
	t.is(await open('ca = ["ca.crt"]\n'), manifest.digest);
	t.is(await open(`[host."https://${host}"]\nskip_verify = true\n`), manifest.digest);
	await t.throwsAsync(open(`server = "https://${host}"\n`), {code: 'UNAVAILABLE', message: /certificate/});
	await t.throwsAsync(open(undefined), {code: 'UNAVAILABLE', message: /certificate/});
	await t.throwsAsync(open('ca = "nothing.crt"\n'), {code: 'INVALID_ARGUMENT', message: /hosts\.toml: names nothing\.crt, which is not there/});
});

test('a registry that asks for a client\'s certificate gets the one that its directory has', async t => {
	const [server, me] = [await authority.issue('server-2'), await authority.issue('me')];
	await using registry = await Registry.start({tls: {...server, client: authority.root.certificateFile}});
	const {host} = registry;
	const resolve = async (files: Readonly<Record<string, string>>): Promise<unknown> => {
		const directory = await treeOf(t, Object.fromEntries(Object.entries(files).map(([name, text]) => [`${host}/${name}`, text])));
		await using client = clientOf({hostDirectories: [directory]});
		return client.resolve(`${host}/tls:1`, {defaultScheme: 'https'});
	};
	const ca = {'ca.crt': authority.root.certificate};
	const pair = {'me.cert': me.certificate, 'me.key': me.key, 'both.pem': `${me.certificate}${me.key}`};
	const known = {code: 'NOT_FOUND'} as const;
	await t.throwsAsync(resolve({...ca, ...pair, 'hosts.toml': `server = "https://${host}"\nca = "ca.crt"\nclient = [["me.cert", "me.key"]]\n`}), known);
	await t.throwsAsync(resolve({...ca, ...pair, 'hosts.toml': `server = "https://${host}"\nca = "ca.crt"\nclient = "both.pem"\n`}), known);
	await t.throwsAsync(resolve({...ca, ...pair, 'hosts.toml': `server = "https://${host}"\nca = "ca.crt"\nclient = ["both.pem"]\n`}), known);
	// Docker's certs.d, without a hosts.toml.
	await t.throwsAsync(resolve({...ca, ...pair}), known);
	await t.throwsAsync(resolve({...ca, 'hosts.toml': `server = "https://${host}"\nca = "ca.crt"\n`}), {code: 'UNAVAILABLE'});
});

test('blobs come from the object store that the registry points to, which sees no token', async t => {
	const tokens = await TokenServer.start(authority.root, {accounts: [{secret: 'me:word', rights: {'*': all}}]});
	await using ending = new AsyncDisposableStack();
	ending.use(tokens);
	let root = '';
	const store = ending.use(await HttpStub.start((request, response) => {
		const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
		response.writeHead(range === null ? 200 : 206, range === null ? {} : {'content-range': `bytes ${range[1]}-9999/10000`});
		createReadStream(path.join(root, 'storage', decodeURIComponent(new URL(request.url ?? '', 'http://x').pathname)), {start: Number(range?.[1] ?? 0)}).on('error', () => response.destroy()).pipe(response);
	}));
	const registry = ending.use(await Registry.start({token: {realm: tokens.realm, certificateFile: authority.root.certificateFile}, redirect: `http://${store.host}/`}));
	root = registry.root;
	await using client = clientOf();
	const options = {credentials: async () => ({username: 'me', secret: 'word'}), headers: new Map([['X-Secret', 'mine']])};
	const bytes = randomBytes(10_000);
	await using target = await client.target(`${registry.host}/a:1`, options);
	const {layer} = await pushSmallImage(target, bytes);
	await using repository = await client.resolve(`${registry.host}/a:1`, options);
	t.deepEqual(await readAll(repository.open(layer)), bytes);
	t.deepEqual(await readAll(repository.open(layer, {offset: 4000})), bytes.subarray(4000));
	t.is(store.asked.length, 2);
	t.deepEqual(store.asked.map(({headers}) => [headers.authorization, headers['x-secret']]), [[undefined, undefined], [undefined, undefined]]);
});

test('a large blob comes in parts, asked for at once, and goes in chunks', async t => {
	await using registry = await Registry.start();
	await using client = clientOf({ranges: {concurrency: 4, bytes: 1024 * 1024}});
	const bytes = randomBytes(19 * 1024 * 1024 + 17);
	await using target = await client.target(`${registry.host}/big:1`);
	const {layer} = await pushSmallImage(target, bytes);
	await using repository = await client.resolve(`${registry.host}/big:1`);
	t.true((await readAll(repository.open(layer))).equals(bytes));
	t.true((await readAll(repository.open(layer, {offset: 3_000_001}))).equals(bytes.subarray(3_000_001)));
	t.is((await readAll(repository.open(layer, {offset: bytes.length}))).length, 0);
});
