import {randomBytes} from 'node:crypto';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {Any} from '../../api/gen/google/protobuf/any.ts';
import {Growth} from '../../contracts/content/growth.ts';
import {layerOf, sha256, tarOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {StreamProcessor} from '../../plugins/diff-tar/processor-chain.ts';
import {createDiffer} from '../helpers/tar-differ.ts';
import {until} from '../helpers/until.ts';
import {Room} from '../kernel/room.ts';

// With real programs, of which a test writes those that the system has not got.

const tar = tarOf([{name: 'dir/'}, {name: 'dir/file', body: 'hello'}, {name: 'big', body: randomBytes(1_500_000)}]);
const applied = {mediaType: mediaTypes.ociLayer, digest: `sha256:${sha256(tar)}` as const, size: tar.length};
const coded = 'application/vnd.oci.image.layer.v1.tar+base64';
const odd = 'application/x-test';

const base64 = (bytes: Uint8Array): Buffer => Buffer.from(Buffer.from(bytes).toString('base64'));
const rot13 = (bytes: Buffer): Buffer => bytes.map(byte => !/[a-z]/i.test(String.fromCodePoint(byte)) ? byte : byte + ((byte | 0x20) < 0x6e ? 13 : -13)) as Buffer;
const processor = (more: Partial<StreamProcessor> = {}): StreamProcessor => ({id: 'decode', accepts: [coded], returns: mediaTypes.ociLayer, path: 'base64', args: ['-d'], env: [], ...more});
const shell = (script: string, more: Partial<StreamProcessor> = {}): StreamProcessor => processor({path: '/bin/sh', args: ['-c', script], ...more});

/** Processes of which a word is in the command line. */
async function running(word: string): Promise<number> {
	const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name) && Number(name) !== process.pid);
	const lines = await Promise.all(pids.map(async pid => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
	return lines.filter(line => line.includes(word)).length;
}

test('a program makes a layer of what it reads, from a file, from bytes and apart; the digest is that of the tar', async t => {
	await using differ = await createDiffer('auto', [processor()]);
	await using place = await Workplace.open();
	t.deepEqual(await differ.apply(layerOf(base64(tar), coded), await place.bind('a')), applied);
	t.deepEqual(await differ.apply(await place.file(base64(tar), coded), await place.bind('b')), applied);
	t.like(await differ.applyApart?.(await place.file(base64(tar), coded), await place.overlay('c')), applied);
	for (const root of ['a', 'b', 'c']) {
		t.is(await readFile(place.at(`${root}/dir/file`), 'utf8'), 'hello');
	}
});

test('what a program returns may be compressed, or what another accepts', async t => {
	await using differ = await createDiffer('auto', [
		processor({id: 'gzip', returns: mediaTypes.dockerLayerGzip}),
		processor({id: 'rot13', accepts: [odd], returns: coded, path: 'tr', args: ['A-Za-z', 'N-ZA-Mn-za-m']}),
	]);
	await using place = await Workplace.open();
	t.deepEqual(await differ.apply(layerOf(base64(gzipSync(tar)), coded), await place.bind('a')), applied);
	t.deepEqual(await differ.apply(layerOf(rot13(base64(gzipSync(tar))), odd), await place.bind('b')), applied);
	t.deepEqual(await differ.apply(await place.file(rot13(base64(gzipSync(tar))), odd), await place.bind('c')), applied);
});

test('a program comes before what is built in, also for a plain tar, which it may return', async t => {
	await using place = await Workplace.open();
	const tell = `echo "$STREAM_PROCESSOR_MEDIATYPE" >> "$1"`;
	const log = place.at('log');
	await using differ = await createDiffer('auto', [
		processor({id: 'plain', accepts: [mediaTypes.ociLayer], path: '/bin/sh', args: ['-c', `${tell}; exec cat`, 'sh', log]}),
		processor({id: 'gzip', accepts: [mediaTypes.ociLayerGzip], path: '/bin/sh', args: ['-c', `${tell}; exec gzip -d`, 'sh', log]}),
	]);
	t.deepEqual(await differ.apply(layerOf(tar), await place.bind('a')), applied);
	t.deepEqual(await differ.apply(layerOf(gzipSync(tar), mediaTypes.ociLayerGzip), await place.bind('b')), applied);
	t.is(await readFile(log, 'utf8'), `${mediaTypes.ociLayer}\n${mediaTypes.ociLayerGzip}\n`);
});

test('a program has its payload byte for byte on descriptor 3, its media type, its environment over the daemon\'s, and pipes that it may open', async t => {
	await using place = await Workplace.open();
	const said = place.at('said');
	await using differ = await createDiffer('auto', [
		shell('cat /dev/fd/3 > "$SAID"; echo "$STREAM_PROCESSOR_MEDIATYPE $HOME $LANG" > "$SAID.env"; base64 -d /dev/stdin > /dev/stdout', {env: [`SAID=${said}`, 'LANG=a=b', 'STREAM_PROCESSOR_MEDIATYPE=mine']}),
		processor({id: 'first', accepts: [odd], returns: coded, path: 'cat', args: []}),
	]);
	const payload = {typeUrl: 'io.test/Payload', value: randomBytes(300_000)};
	t.deepEqual(await differ.apply(layerOf(base64(tar), odd), await place.bind('a'), {payloads: new Map([['decode', payload], ['other', {typeUrl: 'x', value: Buffer.from('x')}]])}), applied);
	t.deepEqual(await readFile(said), Buffer.from(Any.encode(payload).finish()));
	t.is(await readFile(`${said}.env`, 'utf8'), `${coded} ${process.env['HOME']} a=b\n`);
	await differ.apply(layerOf(base64(tar), coded), await place.bind('b'), {payloads: new Map([['decode', {typeUrl: '', value: Buffer.alloc(0)}]])});
	t.is((await readFile(said)).length, 0);
});

test('without a payload there is no descriptor 3, and a payload that nobody reads is no failure', async t => {
	await using differ = await createDiffer('auto', [shell('[ ! -e /proc/self/fd/3 ] || [ -n "$UNREAD" ] && exec base64 -d'), shell('exec base64 -d', {id: 'unread', accepts: [odd]})]);
	await using place = await Workplace.open();
	t.deepEqual(await differ.apply(layerOf(base64(tar), coded), await place.bind('a')), applied);
	t.deepEqual(await differ.apply(layerOf(base64(tar), odd), await place.bind('b'), {payloads: new Map([['unread', {typeUrl: 'x', value: randomBytes(300_000)}]])}), applied);
});

test('a program that fails fails the layer, in its own words, of which there are not too many', async t => {
	await using place = await Workplace.open();
	const cases: readonly (readonly [string, string, RegExp])[] = [
		['at once', 'echo "no key" >&2; exit 3', /stream processor decode ended with 3: no key$/],
		['before it is done', 'base64 -d; echo "bad end" >&2; exit 3', /decode ended with 3: bad end$/],
		['half way', 'base64 -d | head -c 1000000; echo "gave up" >&2; exit 4', /decode ended with 4: gave up$/],
		['silently', 'exit 5', /decode ended with 5, and said nothing$/],
		['by a signal', 'kill -9 $$', /decode ended with SIGKILL/],
		['loudly', 'yes loud | head -c 1000000 >&2; echo "at last" >&2; exit 1', /at last$/],
	];
	for (const [at, [what, script, message]] of cases.entries()) {
		await using differ = await createDiffer('auto', [shell(script)]);
		for (const [name, layer] of [['bytes', layerOf(base64(tar), coded)], ['file', await place.file(base64(tar), coded)]] as const) {
			const error = await t.throwsAsync(differ.apply(layer, await place.bind(`${at}-${name}`)), {code: 'UNKNOWN', message}, `${what}, ${name}`);
			t.true((error?.message.length ?? 0) < 5000);
		}
	}
});

test('of a chain, the first that failed is named, and not who lost its reader', async t => {
	await using place = await Workplace.open();
	const second = shell('exit 7', {id: 'second'});
	for (const [first, message] of [['cat', /second ended with 7/], ['cat; exit 6', /first ended with 6/]] as const) {
		await using differ = await createDiffer('auto', [second, shell(first, {id: 'first', accepts: [odd], returns: coded})]);
		await t.throwsAsync(differ.apply(await place.file(base64(tar), odd), await place.bind('a')), {code: 'UNKNOWN', message});
	}
});

test('a program that is not there, or may not be run, is named', async t => {
	await using place = await Workplace.open();
	await writeFile(place.at('no-program'), 'x');
	for (const path of ['/nowhere/decoder', 'no-such-decoder', place.at('no-program'), place.directory]) {
		await using differ = await createDiffer('auto', [processor({path}), processor({id: 'first', accepts: [odd], returns: coded, path: 'cat', args: []})]);
		for (const type of [coded, odd]) {
			await t.throwsAsync(differ.apply(layerOf(base64(tar), type), await place.bind('a')), {code: 'FAILED_PRECONDITION', message: new RegExp(`stream processor decode: .*${path}`)});
		}
	}
});

test('types that lead nowhere, or round in a circle, are refused before anything starts', async t => {
	await using place = await Workplace.open();
	const nobody = {path: '/nowhere'};
	await using differ = await createDiffer('auto', [
		processor({id: 'dead-end', accepts: ['a'], returns: 'application/x-end', ...nobody}),
		processor({id: 'here', accepts: ['b'], returns: 'c', ...nobody}), processor({id: 'there', accepts: ['c'], returns: 'b', ...nobody}),
		processor({id: 'itself', accepts: ['d'], returns: 'd', ...nobody}),
	]);
	await t.throwsAsync(differ.apply(layerOf(tar, 'a'), await place.bind('a')), {code: 'UNIMPLEMENTED', message: /"application\/x-end"/});
	await t.throwsAsync(differ.apply(layerOf(tar, 'e'), await place.bind('a')), {code: 'UNIMPLEMENTED', message: /"e"/});
	await t.throwsAsync(differ.apply(layerOf(tar, `${mediaTypes.ociLayerGzip}+encrypted`), await place.bind('a')), {code: 'UNIMPLEMENTED', message: /gzip\+encrypted/});
	await t.throwsAsync(differ.apply(layerOf(tar, 'b'), await place.bind('a')), {code: 'FAILED_PRECONDITION', message: /circle: here accepts b, there accepts c, it ends with b again/});
	await t.throwsAsync(differ.apply(layerOf(tar, 'd'), await place.bind('a')), {code: 'FAILED_PRECONDITION', message: /itself accepts d/});
});

test('an abort ends the programs and what they have started, wherever they are', async t => {
	await using place = await Workplace.open();
	const word = `31${Math.floor(Math.random() * 1e9)}`;
	const endless = {...layerOf(base64(tar), coded), async * read(signal?: AbortSignal) {
		yield base64(tar).subarray(0, 100_000);
		await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))));
	}};
	const cases = [
		[shell(`sleep ${word} | cat`), await place.file(base64(tar), coded)],
		[shell(`base64 -d; exec >&-; sleep ${word}`), layerOf(base64(tar), coded)],
		[shell(`sleep ${word} & base64 -d; wait`), endless],
	] as const;
	for (const [at, [one, layer]] of cases.entries()) {
		await using differ = await createDiffer('auto', [one]);
		const abort = new AbortController();
		const reason = new Error('enough');
		const applying = differ.apply(layer, await place.bind(`${at}`), {signal: abort.signal});
		applying.catch(() => undefined);
		await until('the program', async () => await running(word) > 0);
		abort.abort(reason);
		t.is(await t.throwsAsync(applying), reason);
		// The script was waited for; what it had started is init's to reap.
		await until('no program', async () => await running(word) === 0);
	}
});

test('a layer that is no tar, or whose source fails, ends the programs too', async t => {
	await using place = await Workplace.open();
	const word = `32${Math.floor(Math.random() * 1e9)}`;
	await using differ = await createDiffer('auto', [shell(`yes; sleep ${word}`), processor({id: 'broken', accepts: [odd]})]);
	await t.throwsAsync(differ.apply(await place.file(base64(tar), coded), await place.bind('a')), {code: 'INVALID_ARGUMENT'});
	t.is(await running(word), 0);
	const broken = {...layerOf(tar, odd), async * read() {
		yield base64(tar).subarray(0, 100_000);
		throw new Error('the source broke');
	}};
	await t.throwsAsync(differ.apply(broken, await place.bind('b')), {message: /the source broke/});
});

test('a layer whose file still grows is processed once it is whole', async t => {
	await using place = await Workplace.open();
	await using differ = await createDiffer('auto', [processor()]);
	const whole = Promise.withResolvers<void>();
	const bytes = layerOf(base64(tar), coded);
	const {file = ''} = await place.file(Buffer.alloc(0));
	const growing = {...bytes, file, growth: new Growth().shared, async * read() {
		await whole.promise;
		yield * bytes.read();
	}};
	const applying = differ.applyApart?.(growing, await place.overlay('a'));
	setTimeout(() => whole.resolve(), 50);
	t.like(await applying, applied);
});

test('`config check` says what is wrong with an entry of [stream_processors], and where', async t => {
	await using room = await Room.make();
	const entry = (id: string, keys: Readonly<Record<string, unknown>>): string => [
		`[stream_processors."${id}"]`, ...Object.entries({accepts: [id], returns: mediaTypes.ociLayer, path: 'cat', ...keys}).map(([key, value]) => `${key} = ${JSON.stringify(value)}`), '',
	].join('\n');
	const file = await room.write('config.toml', [
		entry('right', {accepts: [`${mediaTypes.ociLayerGzip}+encrypted`], path: '/bin/cat', args: ['-u'], env: ['A=', 'B=c=d']}),
		entry('relative', {path: 'bin/cat'}), entry('no-types', {accepts: []}), entry('empty-type', {accepts: ['']}), entry('no-return', {returns: ''}), entry('odd-env', {env: ['A']}),
		entry('odd-key', {pathh: 'cat'}), entry('twice', {accepts: ['odd-key']}), entry('circle', {returns: 'circle'}), '[stream_processors.nothing]', '',
	].join(''));
	const {code, output} = await room.run(['--config', file, 'config', 'check']);
	t.is(code, 1);
	t.deepEqual(output.split('\n').filter(line => line.includes(room.path)).map(line => line.replaceAll(/ \(\S+?:(\d+:\d+)\)/g, ' ($1)').replace(/^config of module \S+: /, '')).toSorted(), [
		'key pathh (32:1) is unknown to the daemon',
		'key stream_processors.circle.returns (39:1) leads nowhere: stream processors go round in a circle: circle accepts circle, it ends with circle again',
		'key stream_processors.empty-type.accepts.0 (16:12) is empty, expected a media type',
		'key stream_processors.no-return.returns (21:1) is empty, expected the media type that the program writes',
		'key stream_processors.no-types.accepts (12:1) is empty, expected the media types that the program reads',
		'key stream_processors.nothing.accepts (41:2) is empty, expected the media types that the program reads',
		'key stream_processors.nothing.path (41:2) is "", expected an absolute path, or a name that is looked for in PATH',
		'key stream_processors.nothing.returns (41:2) is empty, expected the media type that the program writes',
		'key stream_processors.odd-env.env.0 (27:8) is "A", expected NAME=value',
		'key stream_processors.relative.path (10:1) is "bin/cat", expected an absolute path, or a name that is looked for in PATH',
		'key stream_processors.twice.accepts (34:1) has "odd-key", which odd-key accepts already',
	]);
});
