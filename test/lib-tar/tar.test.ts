import test from 'ava';
import {extract, pack, type Header} from 'tar-stream';
import type {TarEntry, TarSink} from '../../lib/tar/tar-entry.ts';
import {TarReader} from '../../lib/tar/tar-reader.ts';
import {encodeTarHeader, endMark, padding, type WrittenEntry} from '../../lib/tar/tar-writer.ts';
import {tar, type Dialect, type TarEntry as RawEntry} from '../helpers/tar-writer.ts';

interface ReadEntry {
	readonly entry: TarEntry;
	readonly body: Buffer;
}

class Collector implements TarSink {
	readonly entries: ReadEntry[] = [];
	#entry: TarEntry | undefined;
	#parts: (readonly [number, Buffer])[] = [];

	entry(entry: TarEntry): void {
		this.#entry = entry;
	}

	data(bytes: Buffer, offset: number): void {
		this.#parts.push([offset, Buffer.from(bytes)]);
	}

	entryEnd(): void {
		if (this.#entry !== undefined) {
			const body = Buffer.alloc(this.#entry.type === 'file' ? this.#entry.size : 0);
			this.#parts.forEach(([offset, bytes]) => bytes.copy(body, offset));
			this.entries.push({entry: this.#entry, body});
		}
		this.#entry = undefined;
		this.#parts = [];
	}
}

function read(bytes: Buffer, pieceBytes = bytes.length): readonly ReadEntry[] {
	const collector = new Collector();
	const reader = new TarReader(collector);
	for (let at = 0; at < bytes.length; at += pieceBytes) {
		reader.push(bytes.subarray(at, at + pieceBytes));
	}
	reader.end();
	return collector.entries;
}

const long = 'n'.repeat(120);
const varied: readonly RawEntry[] = [
	{name: 'd/', type: 'directory', mode: 0o1777}, {name: 'f', body: 'hello\n', uid: 1, gid: 2, mode: 0o4755, mtime: '1234567890'}, {name: `${long}/${long}`, body: 'x'.repeat(1000)},
	{name: 's', type: 'symlink', link: `${long}/${long}`}, {name: 'h', type: 'hardlink', link: 'f'}, {name: 'c', type: 'char', device: [300, 70_000]}, {name: 'p', type: 'fifo'},
	{name: 'big-owner', uid: 3_000_000, gid: 3_000_001}, {name: 'empty'}, {name: Buffer.from([0x63, 0xe9, 0xff]), body: 'latin'},
	{name: 'sparse', sparse: {size: 100_000, extents: Array.from({length: 30}, (_, at) => ({offset: at * 3000, bytes: Buffer.from(`part ${at}`)}))}},
];

for (const dialect of ['pax', 'gnu'] as const satisfies readonly Dialect[]) {
	test(`${dialect}: entries are read the same, in pieces of any size`, t => {
		const bytes = tar(varied, dialect);
		const whole = read(bytes);
		t.is(whole.length, varied.length);
		for (const pieceBytes of [1, 7, 511, 512, 513, 4096]) {
			t.deepEqual(read(bytes, pieceBytes), whole, `${pieceBytes}`);
		}
		for (const [at, raw] of varied.entries()) {
			const {entry, body} = whole[at] ?? t.fail();
			t.deepEqual(entry.name, Buffer.from(raw.name));
			t.deepEqual(entry.linkName, Buffer.from(raw.link ?? ''));
			t.is(entry.uid, raw.uid ?? 0);
			t.deepEqual(entry.device, {major: raw.device?.[0] ?? 0, minor: raw.device?.[1] ?? 0});
			t.is(entry.size, raw.sparse?.size ?? Buffer.from(raw.body ?? '').length);
			for (const {offset, bytes: part} of raw.sparse?.extents ?? []) {
				t.deepEqual(body.subarray(offset, offset + part.length), Buffer.from(part));
			}
		}
	});
}

test('pax values are bytes, and times have nanoseconds on both sides of 1970', t => {
	const value = Buffer.from([0xff, 0x0a, 0x3d, 0, 0x80]);
	const [a, b] = read(tar([{name: 'a', pax: {'SCHILY.xattr.user.x': value}, mtime: '-12.5'}, {name: 'b', mtime: '1600000000.1234567899'}]));
	t.deepEqual(a?.entry.attributes, [{name: Buffer.from('user.x'), value}]);
	t.is(a?.entry.mtimeNs, -12_500_000_000n);
	t.is(b?.entry.mtimeNs, 1_600_000_000_123_456_789n);
});

test('a header for the whole archive is passed over, and does not count for entries', t => {
	const global = encodeTarHeader(written({name: 'g', size: 0}));
	global.write('g', 156);
	global.fill(' ', 148, 156);
	global.write(`${global.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
	t.deepEqual(read(Buffer.concat([global, tar([{name: 'a', body: 'x'}])])).map(({entry}) => entry.name.toString()), ['a']);
});

test('an archive is whole at its end mark, and cut short anywhere but between entries', t => {
	const bytes = tar([{name: 'a', body: 'x'.repeat(600), pax: {'SCHILY.xattr.user.x': 'y'}}]);
	t.is(read(bytes.subarray(0, -1024)).length, 1);
	t.is(read(Buffer.concat([bytes, Buffer.from('trailing garbage')])).length, 1);
	for (const length of [1, 511, 512, 700, 1024, 1025, 1536, 1537, 2000, 2600, 2559]) {
		t.throws(() => read(bytes.subarray(0, length)), {code: 'DATA_LOSS'}, `${length}`);
	}
	t.throws(() => read(Buffer.concat([Buffer.alloc(512), bytes])), {code: 'INVALID_ARGUMENT'});
	t.throws(() => read(Buffer.alloc(512, 'x')), {code: 'INVALID_ARGUMENT'});
});

test('a header has its checksum, of bytes with a sign or without, and in any writing that tars have', t => {
	const whole = tar([{name: Buffer.from([0xff, 0xfe, 0x80]), body: 'x'}], 'gnu');
	const sum = whole.subarray(0, 512).reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
	const withChecksum = (text: string): Buffer => {
		const bytes = Buffer.from(whole);
		bytes.write(text, 148, 8, 'latin1');
		return bytes;
	};
	const octal = (value: number): string => value.toString(8).padStart(6, '0');
	// The name has three bytes that a signed sum takes 256 less for.
	for (const text of [`${octal(sum)}\0 `, `${octal(sum)} \0`, ` ${octal(sum)}\0`, `00${octal(sum)}`, `\0\0${octal(sum)}`, `${octal(sum - 768)}\0 `]) {
		t.is(read(withChecksum(text)).length, 1, JSON.stringify(text));
	}
	for (const text of [`${octal(sum + 1)}\0 `, `${octal(sum - 256)}\0 `, `${octal(sum - 512)}\0 `, `${octal(sum)}x `, `${octal(sum)}8\0`, 'x'.repeat(8), '\0'.repeat(8), ' '.repeat(8), `-${octal(sum)}\0`]) {
		t.throws(() => read(withChecksum(text)), {code: 'INVALID_ARGUMENT', message: /does not have its checksum/v}, JSON.stringify(text));
	}
	for (let at = 0; at < 512; at++) {
		const bytes = Buffer.from(whole);
		bytes[at] = (bytes[at] as number) ^ 0x10;
		if (at < 148 || at >= 156) {
			t.throws(() => read(bytes), {code: 'INVALID_ARGUMENT'}, `byte ${at}`);
		}
	}
});

test('what is written is read back, also where ustar has no room for it', t => {
	const entries = [
		written({name: 'plain'}), written({name: 'n'.repeat(300), mtimeNs: -1_500_000_000n, uid: 4_000_000_000, gid: 2_097_152}),
		written({name: 'x', type: 'symlink', linkName: Buffer.from('t'.repeat(200)), attributes: [{name: Buffer.from('user.b'), value: Buffer.from([0, 0xff])}, {name: Buffer.from('user.a'), value: Buffer.alloc(0)}]}),
		written({name: 'c', type: 'character', device: {major: 300, minor: 70_000}, mtimeNs: 1n}),
	];
	const back = read(Buffer.concat([...entries.map(encodeTarHeader), endMark])).map(({entry}) => entry);
	for (const [at, entry] of entries.entries()) {
		const {typeflag, atimeNs, extents, ...read} = back[at] ?? t.fail();
		t.deepEqual({...read, attributes: [...read.attributes]}, {...entry, attributes: entry.attributes.toSorted((a, b) => Buffer.compare(a.name, b.name))});
		t.deepEqual([atimeNs, extents, typeflag.length], [undefined, undefined, 1]);
	}
});

test('tar-stream reads what is written', async t => {
	const body = Buffer.from('hello\n');
	const bytes = Buffer.concat([
		encodeTarHeader(written({name: `${long}/${long}`, size: body.length, mode: 0o4755, uid: 1234, mtimeNs: 1_600_000_000_000_000_000n})), body, padding(body.length),
		encodeTarHeader(written({name: 'link', type: 'symlink', linkName: Buffer.from(long)})), endMark,
	]);
	const headers: Header[] = [];
	const reader = extract();
	reader.end(bytes);
	for await (const entry of reader) {
		headers.push(entry.header);
		entry.resume();
	}
	t.like(headers[0], {name: `${long}/${long}`, size: 6, mode: 0o4755, uid: 1234, type: 'file'});
	t.like(headers[1], {name: 'link', linkname: long, type: 'symlink'});
});

test('what tar-stream writes is read', async t => {
	const writer = pack();
	writer.entry({name: `${long}/grüße`, mode: 0o600, uid: 1234, mtime: new Date(1_600_000_000_000)}, 'hello\n');
	writer.entry({name: 'd', type: 'directory'});
	writer.finalize();
	const [file, directory] = read(Buffer.concat(await Array.fromAsync(writer as AsyncIterable<Uint8Array>)));
	t.is(file?.entry.name.toString(), `${long}/grüße`);
	t.deepEqual([file?.entry.mode, file?.entry.uid, file?.entry.mtimeNs, file?.body.toString()], [0o600, 1234, 1_600_000_000_000_000_000n, 'hello\n']);
	t.is(directory?.entry.type, 'directory');
});

function written({name, ...more}: Partial<Omit<WrittenEntry, 'name'>> & {readonly name: string}): WrittenEntry {
	return {type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtimeNs: 0n, linkName: Buffer.alloc(0), device: {major: 0, minor: 0}, attributes: [], ...more, name: Buffer.from(name)};
}
