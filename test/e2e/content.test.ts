import {createHash} from 'node:crypto';
import {collect} from '../helpers/collect.ts';
import {endToEnd} from '../helpers/end-to-end.ts';

const scenario = endToEnd('content', {pulls: false});
const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

scenario('what is ingested is listed, read and removed', async ({t, fresh, same}) => {
	const ctr = fresh();
	const text = `hello from ${ctr.release}\n`;
	const digest = sha256(text);
	await collect(ctr);
	t.is((await ctr.with({input: text}, 'content', 'ingest', '--expected-size', String(text.length), '--expected-digest', digest, 'key')).code, 0);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), [digest]);
	t.is(await ctr.ok('content', 'get', digest), text);
	same('ls', (await ctr.ok('content', 'ls')).replace(digest, 'DIGEST'));
	t.is(await ctr.ok('content', 'rm', digest), `${digest}\n`);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
});

scenario('removing content twice is no failure', async ({t, fresh}) => {
	const ctr = fresh();
	const {code, stdout} = await ctr.run('content', 'rm', sha256('nobody'));
	t.is(code, 0);
	t.is(stdout, '');
});

scenario('content that is not there is not found', async ({t, ctr}) => {
	const digest = sha256('nobody');
	t.is(await ctr.fails('content', 'get', digest), `ctr: content digest ${digest}: not found\n`);
	t.is(await ctr.fails('content', 'get', 'garbage'), 'ctr: invalid checksum digest format\n');
});

scenario('a digest that does not match is refused and nothing is stored', async ({t, fresh, same}) => {
	const ctr = fresh();
	const outcome = await ctr.with({input: 'one'}, 'content', 'ingest', '--expected-digest', sha256('other'), 'wrong');
	t.is(outcome.code, 1);
	t.regex(outcome.stderr, /unexpected commit digest sha256:[0-9a-f]{64}, expected sha256:[0-9a-f]{64}: failed precondition/v);
	same('message', outcome.stderr);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
});

scenario('an ingest that was cut short is active, and goes on where it stopped', async ({t, fresh}) => {
	const ctr = fresh();
	t.is((await ctr.with({input: 'short'}, 'content', 'ingest', '--expected-size', '99', 'cut')).code, 1);
	const rows = await ctr.rows('content', 'active');
	t.deepEqual(rows.map(row => row.slice(0, 2)), [['cut', '5B']]);
});

scenario('the same bytes are stored once', async ({t, fresh}) => {
	const ctr = fresh();
	const text = `twice ${ctr.release}`;
	await collect(ctr);
	t.is((await ctr.with({input: text}, 'content', 'ingest', '--expected-digest', sha256(text), 'first')).code, 0);
	t.is((await ctr.with({input: text}, 'content', 'ingest', '--expected-digest', sha256(text), 'second')).code, 0);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), [sha256(text)]);
	t.deepEqual(await ctr.rows('content', 'active'), []);
	await ctr.ok('content', 'rm', sha256(text));
});

scenario('labels of content are set, and fetch shows what a filter chooses', async ({t, fresh}) => {
	const ctr = fresh();
	const text = `labelled ${ctr.release}`;
	await collect(ctr);
	await ctr.with({input: text}, 'content', 'ingest', '--expected-digest', sha256(text), 'key');
	t.regex(await ctr.ok('content', 'label', sha256(text), 'a=b'), /a=b/v);
	t.regex(await ctr.ok('content', 'ls'), /a=b/v);
	t.deepEqual(await ctr.lines('content', 'ls', '-q', 'labels."a"==b'), [sha256(text)]);
	t.deepEqual(await ctr.lines('content', 'ls', '-q', 'labels."a"==c'), []);
	await ctr.ok('content', 'rm', sha256(text));
});

scenario('content fetch stores an image\'s blobs and does not unpack them', async ({t, fresh, images}) => {
	const ctr = fresh();
	await ctr.ok('content', 'fetch', '--plain-http', images.busybox);
	t.is((await ctr.lines('content', 'ls', '-q')).length, 3);
	t.deepEqual(await ctr.rows('snapshots', 'ls'), []);
	t.deepEqual(await ctr.lines('images', 'ls', '-q'), [images.busybox]);
	t.deepEqual(await ctr.lines('leases', 'ls', '-q'), []);
	await ctr.ok('images', 'rm', '--sync', images.busybox);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
});

scenario('a large blob comes back byte for byte', async ({t, fresh}) => {
	const ctr = fresh();
	// The client reads it by a call for each 32 KiB, and lets go of each: as many as an HTTP/2 server takes for an attack.
	const bytes = Buffer.alloc(48 * 1024 * 1024 + 1, createHash('sha512').update(ctr.release).digest());
	const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
	await collect(ctr);
	t.is((await ctr.with({input: bytes}, 'content', 'ingest', '--expected-size', String(bytes.length), 'large')).code, 0);
	const outcome = await ctr.with({}, 'content', 'get', digest);
	t.is(outcome.code, 0);
	t.true(outcome.bytes.equals(bytes));
	await ctr.ok('content', 'rm', digest);
});
