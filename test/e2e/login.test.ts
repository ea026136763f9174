import {randomBytes} from 'node:crypto';
import test from 'ava';
import {clientOf, pushBytes} from '../fetch/client.ts';
import {Authority} from '../helpers/authority.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {image, layer, type Blob} from '../helpers/oci-image.ts';
import {Registry} from '../helpers/registry.ts';
import {tar} from '../helpers/tar-writer.ts';
import {TokenServer} from '../helpers/token-server.ts';
import type {Digest} from '../../contracts/oci/digest.ts';

/** Debian's docker-registry with a token server, asked by unmodified clients. */
const scenario = endToEnd('login', {pulls: false});
const lifetime = new AsyncDisposableStack();
let guarded: {readonly host: string; readonly tokens: TokenServer};

test.before(async () => {
	const authority = lifetime.use(await Authority.create());
	const tokens = lifetime.use(await TokenServer.start(authority.root, {accounts: [{secret: 'me:word', rights: {'*': ['pull', 'push']}}], anonymous: {open: ['pull']}}));
	const registry = lifetime.use(await Registry.start({token: {realm: tokens.realm, certificateFile: authority.root.certificateFile}}));
	guarded = {host: registry.host, tokens};
	await using client = clientOf();
	const made = image([layer(tar([{name: 'file', body: randomBytes(1000)}]))], {Cmd: ['/file']});
	for (const name of ['open', 'closed']) {
		await using target = await client.target(`${registry.host}/${name}:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
		const push = async ({mediaType, digest, bytes}: Blob): Promise<unknown> => pushBytes(target, {mediaType, digest: digest as Digest, size: bytes.length}, bytes);
		for (const part of [...made.layers, made.config, made.manifest]) {
			await push(part);
		}
	}
});

test.after.always(async () => {
	await lifetime.disposeAsync();
});

scenario('who has an account pulls and pushes, who has none reads what is open, and who errs is told', async ({t, fresh}) => {
	const ctr = fresh();
	const {host} = guarded;
	await ctr.ok('images', 'pull', '--plain-http', '--user', 'me:word', `${host}/closed:1`);
	await ctr.ok('images', 'pull', '--plain-http', `${host}/open:1`);
	const copy = `${host}/copy-${randomBytes(4).toString('hex')}:1`;
	await ctr.ok('images', 'tag', `${host}/closed:1`, copy);
	await ctr.ok('images', 'push', '--plain-http', '--user', 'me:word', copy);
	const [none, wrong] = [await ctr.run('images', 'pull', '--plain-http', `${host}/closed:1`), await ctr.run('images', 'pull', '--plain-http', '--user', 'me:wrong', `${host}/closed:1`)];
	for (const {code, stderr} of [none, wrong]) {
		t.is(code, 1);
		t.regex(stderr, /401|authoriz|authentic|denied|forbidden|unauthorized/iv);
	}
	await ctr.ok('images', 'rm', '--sync', `${host}/closed:1`, `${host}/open:1`, copy);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
	t.true(guarded.tokens.asked.length > 0);
});
