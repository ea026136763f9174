import {randomBytes} from 'node:crypto';
import {mkdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import {image, layerType, pushImage, type Layer} from '../helpers/oci-image.ts';
import {Registry} from '../helpers/registry.ts';
import {tar} from '../helpers/tar-writer.ts';
import {hold} from './hold.ts';
import type {Fact} from './semantics-suite.ts';
import type {SemanticsRoom} from './semantics-room.ts';
import {digestOf, write} from './write-content.ts';

const coded = `${layerType}+base64`;
const rotated = 'application/x-test.rot13';
const told = 'application/x-test.told';
const broken = 'application/x-test.broken';
const missing = 'application/x-test.missing';

/** For the daemon's configuration: programs that every system has. */
export const processorTables = Object.entries({
	decode: {accepts: [coded], returns: `${layerType}+gzip`, path: 'base64', args: ['-d'], env: []},
	rotate: {accepts: [rotated], returns: coded, path: 'tr', args: ['A-Za-z', 'N-ZA-Mn-za-m'], env: []},
	// A layer of what the program is given.
	tell: {
		accepts: [told], returns: layerType, path: '/bin/sh', env: ['WORD=said'],
		args: ['-c', 'd=$(mktemp -d); cat <&3 > $d/payload; cat > $d/input; echo "$STREAM_PROCESSOR_MEDIATYPE $WORD" > $d/words; tar -C $d -c -f - payload input words; rm -r $d'],
	},
	fail: {accepts: [broken], returns: layerType, path: '/bin/sh', args: ['-c', 'echo "no key for this" >&2; exit 3'], env: []},
	none: {accepts: [missing], returns: layerType, path: '/nowhere/program', args: [], env: []},
}).map(([id, {accepts, returns, path: program, args, env}]) => [
	`[stream_processors."test.${id}"]`, `accepts = ${JSON.stringify(accepts)}`, `returns = ${JSON.stringify(returns)}`, `path = ${JSON.stringify(program)}`,
	`args = ${JSON.stringify(args)}`, `env = ${JSON.stringify(env)}`, '',
].join('\n')).join('');

const archive = tar([{name: 'file', body: 'hello'}, {name: 'big', body: randomBytes(2_000_000)}]);
const base64 = Buffer.from(gzipSync(archive).toString('base64'));
const rot13 = Buffer.from(base64.toString().replaceAll(/[a-z]/gi, letter => String.fromCodePoint((letter.codePointAt(0) ?? 0) + (letter.toLowerCase() < 'n' ? 13 : -13))));

/** Layers that programs make readable. */
export function diffSemantics(fact: Fact): void {
	fact('a layer of a type that a stream processor accepts is applied, through two of them as well; its digest is that of the tar', async (t, room) => {
		for (const [mediaType, bytes] of [[coded, base64], [rotated, rot13]] as const) {
			const {applied, root} = await apply(room, mediaType, bytes);
			t.like(applied, {mediaType: layerType, digest: digestOf(archive), size: BigInt(archive.length)});
			t.is(await readFile(path.join(root, 'file'), 'utf8'), 'hello');
		}
	});

	fact('a stream processor has its payload on descriptor 3, as a google.protobuf.Any, and the media type in its environment', async (t, room) => {
		const value = randomBytes(100_000);
		const {root} = await apply(room, told, Buffer.from('as it is'), {'test.tell': {typeUrl: 'io.test/Payload', value}, 'other': {typeUrl: 'x', value: Buffer.from('x')}});
		t.is(await readFile(path.join(root, 'words'), 'utf8'), `${told} said\n`);
		t.is(await readFile(path.join(root, 'input'), 'utf8'), 'as it is');
		// Field 1, 15 bytes; field 2, 100,000 bytes.
		t.deepEqual(await readFile(path.join(root, 'payload')), Buffer.concat([Buffer.from('\n\u000Fio.test/Payload'), Buffer.from([0x12, 0xa0, 0x8d, 0x06]), value]));
	});

	fact('a stream processor that is missing fails the layer', async (t, room) => {
		await t.throwsAsync(apply(room, missing, base64), {message: /\/nowhere\/program/v});
	});

	// Whether containerd sees the failure of a program that wrote nothing is a matter of luck.
	fact('a stream processor that fails fails the layer in its own words', async (t, room) => {
		await t.throwsAsync(apply(room, broken, base64), {code: 'UNKNOWN', message: /test\.fail ended with 3: no key for this/v});
	}, {since: 'keelson'});

	fact('an image with a layer for a stream processor is pulled and unpacked', async (t, room) => {
		using client = room.fresh();
		await using registry = await Registry.start();
		const layer: Layer = {mediaType: coded, digest: digestOf(base64), bytes: base64, diffId: digestOf(archive)};
		await client.images.pull(await pushImage(registry, 'processed', '1', image([layer])), {plainHttp: true});
		t.like((await client.services.snapshots.stat({snapshotter: 'overlayfs', key: layer.diffId})).info, {name: layer.diffId});
	}, {since: '2.1'});
}

async function apply(room: SemanticsRoom, mediaType: string, bytes: Buffer, payloads: Readonly<Record<string, {readonly typeUrl: string; readonly value: Uint8Array}>> = {}) {
	using client = room.fresh();
	const digest = digestOf(bytes);
	await write(client, 'layer', bytes, {digest, ...await hold(client)});
	const root = path.join(room.daemon.scratch, `applied-${randomBytes(4).toString('hex')}`);
	await mkdir(root);
	const {applied} = await client.services.diff.apply({
		diff: {mediaType, digest, size: BigInt(bytes.length)}, mounts: [{type: 'bind', source: root, options: ['rbind', 'rw']}], payloads: {...payloads},
	});
	return {applied, root};
}
