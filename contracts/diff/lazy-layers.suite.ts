import {gzipSync, zstdCompressSync} from 'node:zlib';

/** Layers as tools write them that let a reader seek: the same tar to whoever reads them from the beginning. */

/** A zstd frame for each part. */
export function zstdFrames(tar: Buffer, partBytes = 100_000): Buffer {
	return Buffer.concat(inParts(tar, partBytes).map(part => zstdCompressSync(part)));
}

/** One frame that holds `bytes` as they are, in one raw block (at most 128 KiB), and claims a window of 2 to the power of `windowLog` bytes, 10 to 41 (RFC 8878, 3.1.1). */
export function zstdFrameOf(windowLog: number, bytes: Uint8Array): Buffer {
	const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, 0, 0, 0]);
	head.writeUIntLE((bytes.length << 3) | 1, 6, 3);
	return Buffer.concat([head, bytes]);
}

/** RFC 8878, 3.1.2. */
export function skippableFrame(bytes: Uint8Array, kind = 0): Buffer {
	const head = Buffer.from([0x50 + kind, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
	head.writeUInt32LE(bytes.length, 4);
	return Buffer.concat([head, bytes]);
}

/** zstd:chunked, as podman writes it: a frame for each part, then its table of contents, its tar-split and its footer, which decoders skip. */
export function zstdChunked(tar: Buffer, partBytes?: number): Buffer {
	const frames = zstdFrames(tar, partBytes);
	const contents = zstdCompressSync(JSON.stringify({version: 1, entries: []}));
	const footer = Buffer.alloc(64);
	footer.writeBigUInt64LE(BigInt(frames.length + 8), 0);
	footer.writeBigUInt64LE(BigInt(contents.length), 8);
	footer.write('GNUlInUx', 56, 'latin1');
	return Buffer.concat([frames, skippableFrame(contents), skippableFrame(zstdCompressSync('tar-split')), skippableFrame(footer)]);
}

/** eStargz: a gzip member for each part, the last of them empty, with where the table of contents is in its header (stargz-snapshotter, docs/estargz.md). */
export function eStargz(tar: Buffer, partBytes = 100_000): Buffer {
	const members = Buffer.concat(inParts(tar, partBytes).map(part => gzipSync(part)));
	const extra = Buffer.from(`SG\u0016\u0000${members.length.toString(16).padStart(16, '0')}STARGZ`, 'latin1');
	const head = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, extra.length, 0]);
	const nothing = Buffer.from([1, 0, 0, 0xff, 0xff]);
	return Buffer.concat([members, head, extra, nothing, Buffer.alloc(8)]);
}

function inParts(bytes: Buffer, partBytes: number): Buffer[] {
	return Array.from({length: Math.ceil(bytes.length / partBytes)}, (_, at) => bytes.subarray(at * partBytes, (at + 1) * partBytes));
}
