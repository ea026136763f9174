import {chmod, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {criRegistry} from '../../plugins/fetch-oci/cri-registry.ts';
import {configuredCredentials} from '../../plugins/fetch-oci/credentials.ts';
import {dockerConfig} from '../../plugins/fetch-oci/docker-config.ts';
import {hostsFor, type RegistryHost} from '../../plugins/fetch-oci/hosts.ts';
import {treeOf} from './client.ts';

/** What a host comes to, in short. */
function shortOf({base, capabilities, headers, trust, mirrorOf, credentials}: RegistryHost): object {
	const {skipVerify, ca, client, dialTimeoutMs} = trust;
	return {
		at: base.href, may: [...capabilities].toSorted().join(' '),
		...Object.keys(headers).length === 0 ? {} : {headers}, ...skipVerify ? {skipVerify} : {}, ...ca === undefined ? {} : {ca}, ...client === undefined ? {} : {client},
		...dialTimeoutMs === undefined ? {} : {dialTimeoutMs}, ...mirrorOf === undefined ? {} : {mirrorOf}, ...credentials === undefined ? {} : {credentials},
	};
}

const every = 'pull push resolve';
const reading = 'pull resolve';
const signal = new AbortController().signal;

test('without any file a registry is its own host; Docker Hub has another address; loopback speaks plain http', async t => {
	const at = async (registry: string, defaultScheme?: string): Promise<object[]> => (await hostsFor(registry, {directories: [], ...defaultScheme === undefined ? {} : {defaultScheme}})).map(shortOf);
	t.deepEqual(await at('example.com'), [{at: 'https://example.com/v2', may: every}]);
	t.deepEqual(await at('docker.io'), [{at: 'https://registry-1.docker.io/v2', may: every}]);
	t.deepEqual(await at('localhost:5000'), [{at: 'http://localhost:5000/v2', may: every}]);
	t.deepEqual(await at('127.0.0.1:5000', 'https'), [{at: 'https://127.0.0.1:5000/v2', may: every}]);
	await t.throwsAsync(at('example.com', 'ftp'), {code: 'INVALID_ARGUMENT'});
});

test('hosts.toml gives mirrors in order and the registry last, each with all that it says', async t => {
	const directory = await treeOf(t, {
		'docker.io/hosts.toml': `
server = "https://registry-1.docker.io"
[host."https://mirror.example.com"]
  capabilities = ["pull", "resolve"]
  ca = ["one.crt", "two.crt"]
  client = [["me.cert", "me.key"], ["both.pem", ""]]
  dial_timeout = "1m30s"
  [host."https://mirror.example.com".header]
    X-One = "1"
    X-Many = ["a", "b"]
[host."http://plain.example.com:5000/v2/"]
  skip_verify = true
[host."cache.example.com/hub"]
[host."https://harbor.example.com/v2/hub"]
  override_path = true
  [host."https://harbor.example.com/v2/hub".auth]
    username = "robot"
    password = "word"
`,
		'docker.io/one.crt': 'ONE', 'docker.io/two.crt': 'TWO', 'docker.io/me.cert': 'CERT', 'docker.io/me.key': 'KEY', 'docker.io/both.pem': 'BOTH',
	});
	const hosts = await hostsFor('docker.io', {directories: ['/nowhere', directory]});
	t.deepEqual(hosts.map(shortOf), [
		{at: 'https://mirror.example.com/v2', may: 'pull resolve', headers: {'x-one': '1', 'x-many': 'a, b'}, ca: ['ONE', 'TWO'], client: [{certificate: 'CERT', key: 'KEY'}, {certificate: 'BOTH', key: 'BOTH'}], dialTimeoutMs: 90_000, mirrorOf: 'docker.io'},
		{at: 'http://plain.example.com:5000/v2', may: every, skipVerify: true, mirrorOf: 'docker.io'},
		{at: 'https://cache.example.com/hub/v2', may: every, mirrorOf: 'docker.io'},
		{at: 'https://harbor.example.com/v2/hub', may: every, mirrorOf: 'docker.io', credentials: {username: 'robot', secret: 'word'}},
		{at: 'https://registry-1.docker.io/v2', may: every},
	]);
});

test('a directory is found by host and port in either spelling, before the one for all others', async t => {
	const directory = await treeOf(t, {
		'a.example_5000_/hosts.toml': 'server = "https://one"', 'b.example:5000/hosts.toml': 'server = "https://two"', '_default/hosts.toml': 'server = "https://three"',
		'certs.example/ca.crt': 'CA', 'certs.example/client.cert': 'CERT', 'certs.example/client.key': 'KEY',
	});
	const server = async (registry: string): Promise<string | undefined> => (await hostsFor(registry, {directories: [directory]})).at(-1)?.base.host;
	t.is(await server('a.example:5000'), 'one');
	t.is(await server('b.example:5000'), 'two');
	t.is(await server('c.example'), 'three');
	const [certified] = await hostsFor('certs.example', {directories: [directory]});
	t.deepEqual(certified && shortOf(certified), {at: 'https://certs.example/v2', may: every, ca: ['CA'], client: [{certificate: 'CERT', key: 'KEY'}]});
});

for (const [toml, says] of [
	['server = 5', /server is 5, expected an address/],
	['server = [', /Invalid TOML|unexpected|expected|array/i],
	['server = "https://"', /is no address/],
	['[host]\n"https://a" = 1', /expected a table/],
	['[host."https://a"]\ncapabilities = ["fly"]', /capabilities is "fly", expected some of pull, resolve, push, referrers/],
	['[host."https://a"]\nca = 5', /ca is 5, expected a text or a list of texts/],
	['[host."https://a"]\nclient = [["a", "b", "c"]]', /expected pairs of certificate and key/],
	['[host."https://a"]\nskip_verify = "yes"', /skip_verify is "yes", expected true or false/],
	['[host."https://a"]\ndial_timeout = "soon"', /dial_timeout is "soon", expected a duration/],
	['[host."https://a"]\nheader = 3', /header is 3, expected a table/],
	['[host."file:///etc"]', /is no address/],
	['ca = "missing.crt"', /names missing\.crt, which is not there/],
] as const) {
	test(`a hosts.toml with ${JSON.stringify(toml)} is refused by its file's name`, async t => {
		const directory = await treeOf(t, {'example.com/hosts.toml': toml});
		const error = await t.throwsAsync(hostsFor('example.com', {directories: [directory]}), {code: 'INVALID_ARGUMENT', message: says});
		t.true(error.message.includes(path.join(directory, 'example.com/hosts.toml')));
	});
}

test('containerd\'s CRI table counts where no hosts.toml does: mirrors, those of *, TLS, headers and accounts', async t => {
	const directory = await treeOf(t, {'ca.pem': 'CA', 'me.pem': 'CERT', 'me.key': 'KEY'});
	const cri = criRegistry({'io.containerd.grpc.v1.cri': {registry: {
		mirrors: {'docker.io': {endpoint: ['http://127.0.0.1:5000', 'https://mirror.example.com/hub/v2']}, 'own.example.com': {endpoint: ['https://own.example.com']}, '*': {endpoint: ['https://all.example.com']}},
		configs: {
			'mirror.example.com': {tls: {ca_file: path.join(directory, 'ca.pem'), cert_file: path.join(directory, 'me.pem'), key_file: path.join(directory, 'me.key')}, auth: {username: 'me', password: 'word'}},
			'own.example.com': {tls: {insecure_skip_verify: true}, auth: {auth: Buffer.from('you:your:word').toString('base64')}},
			'docker.io': {auth: {identitytoken: 'refresh'}},
		},
		headers: {'X-Node': ['a', 'b']},
	}}});
	const hosts = async (registry: string): Promise<object[]> => (await hostsFor(registry, {directories: [], ...cri === undefined ? {} : {otherwise: cri.hosts}})).map(shortOf);
	const headers = {'x-node': 'a, b'};
	t.deepEqual(await hosts('docker.io'), [
		{at: 'http://127.0.0.1:5000/v2', may: reading, headers, mirrorOf: 'docker.io'},
		{at: 'https://mirror.example.com/hub/v2', may: reading, headers, ca: ['CA'], client: [{certificate: 'CERT', key: 'KEY'}], mirrorOf: 'docker.io'},
		{at: 'https://registry-1.docker.io/v2', may: every, headers},
	]);
	t.deepEqual(await hosts('own.example.com'), [{at: 'https://own.example.com/v2', may: every, headers, skipVerify: true}]);
	t.deepEqual((await hosts('other.example.com')).map(host => (host as {at: string}).at), ['https://all.example.com/v2', 'https://other.example.com/v2']);
	t.deepEqual(await cri?.credentials('mirror.example.com', signal), {username: 'me', secret: 'word'});
	t.deepEqual(await cri?.credentials('own.example.com', signal), {username: 'you', secret: 'your:word'});
	t.deepEqual(await cri?.credentials('registry-1.docker.io', signal), {username: '', secret: 'refresh'});
	t.is(await cri?.credentials('nobody', signal), undefined);
});

test('a CRI table that contradicts itself is refused, the newer table counts, and none is none', t => {
	t.is(criRegistry({}), undefined);
	t.is(criRegistry({'io.containerd.grpc.v1.cri': {registry: {config_path: '/old'}}, 'io.containerd.cri.v1.images': {registry: {config_path: '/new'}}})?.configPath, '/new');
	for (const registry of [{config_path: '/etc/certs', mirrors: {a: {endpoint: []}}}, {config_path: '/etc/certs', configs: {a: {tls: {}}}}, {mirrors: 5}, {config_path: 5}]) {
		t.throws(() => criRegistry({'io.containerd.grpc.v1.cri': {registry}}), {code: 'INVALID_ARGUMENT', message: /registry/});
	}
});

test('Docker\'s config.json is read at each question: entries, the Hub by its own name, refresh tokens', async t => {
	const auth = (text: string): {auth: string} => ({auth: Buffer.from(text).toString('base64')});
	const directory = await treeOf(t, {'config.json': JSON.stringify({auths: {
		'https://index.docker.io/v1/': auth('hub:word'), 'https://old.example.com/v1/': auth('old:word'), 'plain.example.com:5000': {username: 'plain', password: 'word'},
		'token.example.com': {identitytoken: 'refresh'}, 'bearer.example.com': {registrytoken: 'whole'}, 'empty.example.com': {},
	}})});
	const ask = dockerConfig(path.join(directory, 'config.json'));
	t.deepEqual(await ask('registry-1.docker.io', signal), {username: 'hub', secret: 'word'});
	t.deepEqual(await ask('old.example.com', signal), {username: 'old', secret: 'word'});
	t.deepEqual(await ask('plain.example.com:5000', signal), {username: 'plain', secret: 'word'});
	t.deepEqual(await ask('token.example.com', signal), {username: '', secret: 'refresh'});
	t.deepEqual(await ask('bearer.example.com', signal), {username: '', secret: '', header: 'Bearer whole'});
	t.is(await ask('empty.example.com', signal), undefined);
	t.is(await ask('example.com', signal), undefined);
	await writeFile(path.join(directory, 'config.json'), '{"auths": secret');
	const error = await t.throwsAsync(ask('example.com', signal), {code: 'INVALID_ARGUMENT'});
	t.false(error.message.includes('secret'));
	t.is(await dockerConfig(path.join(directory, 'none.json'))('example.com', signal), undefined);
});

test.serial('credential helpers are asked by host: what they know, that they know nothing, and that they fail', async t => {
	const directory = await treeOf(t, {
		'docker-credential-test': '#!/bin/sh\nread host\ncase $host in\nme.example.com) echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"me\\",\\"Secret\\":\\"word\\"}";;\ntoken.example.com) echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"refresh\\"}";;\nbroken.example.com) echo "no keyring"; exit 1;;\nbabble.example.com) echo "secret, but no JSON";;\nslow.example.com) exec sleep 60;;\n*) echo "credentials not found in native keychain"; exit 1;;\nesac\n',
		'config.json': JSON.stringify({credHelpers: {'me.example.com': 'test', 'evil.example.com': '../../bin/sh'}, credsStore: 'test', auths: {'other.example.com': {username: 'filed', password: 'word'}}}),
	});
	await chmod(path.join(directory, 'docker-credential-test'), 0o755);
	const before = process.env['PATH'];
	process.env['PATH'] = `${directory}:${before}`;
	t.teardown(() => {
		process.env['PATH'] = before;
	});
	const ask = dockerConfig(path.join(directory, 'config.json'));
	t.deepEqual(await ask('me.example.com', signal), {username: 'me', secret: 'word'});
	t.deepEqual(await ask('token.example.com', signal), {username: '', secret: 'refresh'});
	t.deepEqual(await ask('other.example.com', signal), {username: 'filed', secret: 'word'});
	t.is(await ask('nobody.example.com', signal), undefined);
	await t.throwsAsync(ask('evil.example.com', signal), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(ask('broken.example.com', signal), {code: 'UNAVAILABLE', message: /no keyring/});
	const babbled = await t.throwsAsync(ask('babble.example.com', signal), {code: 'UNAVAILABLE'});
	t.false(babbled.message.includes('secret'));
	await t.throwsAsync(ask('slow.example.com', AbortSignal.timeout(100)), {code: 'DEADLINE_EXCEEDED'});
	const entries = configuredCredentials({'me.example.com': {username: '', password: '', identity_token: '', helper: 'test'}, 'x.example.com': {username: '', password: '', identity_token: '', helper: 'nobody-has-this'}, 'docker.io': {username: 'hub', password: 'word', identity_token: '', helper: ''}});
	t.deepEqual(await entries('me.example.com', signal), {username: 'me', secret: 'word'});
	t.deepEqual(await entries('registry-1.docker.io', signal), {username: 'hub', secret: 'word'});
	await t.throwsAsync(entries('x.example.com', signal), {code: 'UNAVAILABLE', message: /docker-credential-nobody-has-this/});
});
