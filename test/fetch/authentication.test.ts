import type {IncomingMessage, ServerResponse} from 'node:http';
import test from 'ava';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {mergeScopes} from '../../plugins/fetch-oci/scope.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {clientOf, descriptorOf, readAll} from './client.ts';

const manifest = Buffer.from('{}');
const {digest} = descriptorOf(manifest);
const layer = Buffer.from('0123456789');
const me = {credentials: async () => ({username: 'me', secret: 'word'})};
const basic = `Basic ${Buffer.from('me:word').toString('base64')}`;

function answer(request: IncomingMessage, response: ServerResponse): void {
	if (request.url?.includes('/blobs/') === true) {
		response.writeHead(200).end(layer);
	} else {
		response.writeHead(200, {'content-type': mediaTypes.ociManifest, 'docker-content-digest': digest, 'content-length': manifest.length}).end(request.method === 'HEAD' ? '' : manifest);
	}
}

interface Guard {
	readonly accepts: (authorization: string | undefined) => boolean;
	readonly challenge: (host: string) => string | readonly string[];
	readonly token?: (request: IncomingMessage, response: ServerResponse) => void;
}

/** A registry that asks, and perhaps its token server. */
async function guarded({accepts, challenge, token = (_request, response) => response.writeHead(404).end()}: Guard): Promise<HttpStub> {
	return HttpStub.start((request, response, {host}) => {
		if (request.url?.startsWith('/token') === true) {
			token(request, response);
		} else if (accepts(request.headers.authorization)) {
			answer(request, response);
		} else {
			response.writeHead(401, {'www-authenticate': challenge(host) as string | string[]}).end('who are you?');
		}
	});
}

const giving = (value: object) => (_request: IncomingMessage, response: ServerResponse): void => {
	response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify(value));
};

test('of several challenges a token comes first, and a password when no token is to be had', async t => {
	const both = (host: string): string => `Negotiate, Basic realm="x", Bearer realm="http://${host}/token",service="x"`;
	await using tokens = await guarded({accepts: one => one === 'Bearer yes', challenge: both, token: giving({access_token: 'yes'})});
	await using client = clientOf();
	await using first = await client.resolve(`${tokens.host}/a:1`, me);
	t.is(first.descriptor.digest, digest);
	await using passwords = await guarded({accepts: one => one === basic, challenge: both});
	await using second = await client.resolve(`${passwords.host}/a:1`, me);
	t.is(second.descriptor.digest, digest);
	await using apart = await guarded({accepts: one => one === basic, challenge: () => ['Negotiate', 'Basic realm="x"']});
	await using third = await client.resolve(`${apart.host}/a:1`, me);
	t.is(third.descriptor.digest, digest);
	await t.throwsAsync(client.resolve(`${apart.host}/a:1`), {code: 'UNAUTHENTICATED', message: /401/});
});

test('whoever gives credentials is told what the registry asked for, whole up to 16 KiB', async t => {
	const heard: string[] = [];
	const options = {async credentials(_host: string, _signal: AbortSignal, challenge: string) {
		heard.push(challenge);
		return {username: 'me', secret: 'word'};
	}};
	await using client = clientOf();
	for (const challenge of ['Basic realm="x"', ['Negotiate', 'Basic realm="x, y"'], `Basic realm="x", Odd ${'a'.repeat(15_000)}`]) {
		await using stub = await guarded({accepts: one => one === basic, challenge: () => challenge});
		await using repository = await client.resolve(`${stub.host}/a:1`, options);
		t.is(repository.descriptor.digest, digest);
	}
	t.deepEqual(heard.map(text => text.slice(0, 40)), ['Basic realm="x"', 'Negotiate, Basic realm="x, y"', `Basic realm="x", Odd ${'a'.repeat(19)}`]);
	await using long = await guarded({accepts: one => one === basic, challenge: () => ['Basic realm="x"', `Odd ${'a'.repeat(9000)}`, `Odd ${'b'.repeat(9000)}`]});
	await using last = await client.resolve(`${long.host}/a:1`, options).catch(() => undefined);
	t.true(last === undefined || heard.at(-1)?.length === 16 * 1024);
});

test('a token that has run out is renewed once for all that wait', async t => {
	let issued = 0;
	let valid = 'Bearer t1';
	await using stub = await guarded({
		accepts: one => one === valid, challenge: host => `Bearer realm="http://${host}/token"`,
		token: (request, response) => {
			giving({token: `t${++issued}`})(request, response);
		},
	});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	t.is(issued, 1);
	valid = 'Bearer t2';
	const blobs = await Promise.all(Array.from({length: 6}, async () => readAll(repository.open(descriptorOf(layer)))));
	t.true(blobs.every(one => one.equals(layer)));
	t.is(issued, 2);
	valid = 'Bearer never';
	await t.throwsAsync(readAll(repository.open(descriptorOf(layer))), {code: 'UNAUTHENTICATED'});
	t.is(issued, 3);
});

test('scopes that the registry asks for are asked of its token server, beside our own', async t => {
	await using stub = await guarded({
		accepts: one => one === 'Bearer yes', challenge: host => `Bearer realm="http://${host}/token",scope="repository:cache/hub/a:pull"`, token: giving({token: 'yes'}),
	});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	t.is(repository.descriptor.digest, digest);
	const asked = stub.asked.find(({url}) => url.startsWith('/token'));
	t.deepEqual(new URL(asked?.url ?? '', 'http://x').searchParams.getAll('scope'), ['repository:a:pull', 'repository:cache/hub/a:pull']);
	t.deepEqual(mergeScopes(['repository:b:push', 'repository:a:pull repository:b:pull,push', '', 'nonsense']), ['repository:a:pull', 'repository:b:pull,push']);
});

test('a client that answers with nothing is nobody, and what lies in files is asked', async t => {
	await using stub = await guarded({accepts: one => one === 'Bearer yes', challenge: host => `Bearer realm="http://${host}/token"`, token: giving({token: 'yes'})});
	const nothing = {credentials: async () => ({username: '', secret: ''})};
	await using client = clientOf();
	await using first = await client.resolve(`${stub.host}/a:1`, nothing);
	t.is(first.descriptor.digest, digest);
	t.is(stub.asked.find(({url}) => url.startsWith('/token'))?.authorization, undefined);
	await using filed = clientOf({credentials: [me.credentials]});
	await using second = await filed.resolve(`${stub.host}/a:1`, nothing);
	t.is(second.descriptor.digest, digest);
	t.is(stub.asked.findLast(({url}) => url.startsWith('/token'))?.authorization, basic);
});

test('a whole header that a client gives is sent as it is', async t => {
	await using stub = await guarded({accepts: one => one === 'Bearer mine', challenge: host => `Bearer realm="http://${host}/token"`});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`, {credentials: async () => ({username: '', secret: '', header: 'Bearer mine'})});
	t.is(repository.descriptor.digest, digest);
	t.false(stub.asked.some(({url}) => url.startsWith('/token')));
});

for (const [what, token] of [
	['no JSON', 'hello'], ['no token', '{}'], ['a token with a line break', '{"token":"a\\r\\nx: y"}'], ['a token that is none', '{"token":{"a":1}}'], ['null', 'null'], ['2 MB', JSON.stringify({token: 'x'.repeat(2_000_000)})],
] as const) {
	test(`a token server that answers with ${what} is refused`, async t => {
		await using stub = await guarded({accepts: () => false, challenge: host => `Bearer realm="http://${host}/token"`, token: (_request, response) => response.writeHead(200).end(token)});
		await using client = clientOf();
		await t.throwsAsync(client.resolve(`${stub.host}/a:1`), {name: 'KeelsonError', message: /token/});
	});
}

for (const realm of ['', 'nonsense', 'file:///etc/passwd', 'http://token.example.com/token', 'javascript:alert(1)', `http://127.0.0.1/${'x'.repeat(5000)}`]) {
	test(`apple/container: the realm ${JSON.stringify(realm.slice(0, 40))} is not followed`, async t => {
		await using stub = await guarded({accepts: () => false, challenge: () => `Bearer realm="${realm}"`});
		await using client = clientOf({environment: {}});
		await t.throwsAsync(client.resolve(`${stub.host}/a:1`, {...me, signal: AbortSignal.timeout(5000)}), {name: 'KeelsonError'});
		t.false(stub.asked.some(({authorization}) => authorization !== undefined));
	});
}

test('CVE-2020-15157: whoever a blob is redirected to, and whatever it asks for, learns no credentials', async t => {
	await using thief = await HttpStub.start((_request, response, {host}) => response.writeHead(401, {'www-authenticate': `Bearer realm="http://${host}/token",service="x"`}).end());
	await using stub = await HttpStub.start((request, response) => {
		if (request.headers.authorization !== basic) {
			response.writeHead(401, {'www-authenticate': 'Basic realm="x"'}).end();
		} else if (request.url?.includes('/blobs/') === true) {
			response.writeHead(307, {location: `http://localhost:${thief.host.split(':')[1]}/blob`}).end();
		} else {
			answer(request, response);
		}
	});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`, {...me, headers: new Map([['X-Api-Key', 'mine'], ['Cookie', 'mine']])});
	await t.throwsAsync(readAll(repository.open(descriptorOf(layer))), {code: 'UNAUTHENTICATED'});
	t.is(thief.asked.length, 1);
	t.deepEqual(Object.entries(thief.asked[0]?.headers ?? {}).filter(([name, value]) => /authorization|cookie|key/i.test(name) || String(value).includes('mine')), []);
});

test('CVE-2020-15157: an upload that is sent elsewhere takes no credentials along', async t => {
	await using elsewhere = await HttpStub.start((_request, response) => response.writeHead(201).end());
	await using stub = await HttpStub.start((request, response) => {
		if (request.headers.authorization !== basic) {
			response.writeHead(401, {'www-authenticate': 'Basic realm="x"'}).end();
		} else if (request.method === 'HEAD') {
			response.writeHead(404).end();
		} else {
			response.writeHead(202, {location: `http://${elsewhere.host}/upload`}).end();
		}
	});
	await using client = clientOf();
	await using target = await client.target(`${stub.host}/a:1`, {...me, headers: new Map([['X-Api-Key', 'mine']])});
	await using writer = await target.push(descriptorOf(layer));
	await writer?.write(layer);
	await writer?.commit();
	t.deepEqual(elsewhere.asked.map(({method, headers}) => [method, headers.authorization, headers['x-api-key'], headers['content-length']]), [['PUT', undefined, undefined, '10']]);
});
