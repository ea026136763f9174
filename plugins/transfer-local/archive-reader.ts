import {PassThrough, Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {extract} from 'tar-stream';
import {KeelsonError} from '../../kernel/errors.ts';

/** One regular file or link of an archive; its bytes must be read, or left, before the next is asked for. */
export interface ArchiveEntry {
	/** Normalised, relative: `blobs/sha256/…`. */
	readonly name: string;
	readonly kind: 'file' | 'link';
	/** Where a link points to, as it stands; empty for a file. */
	readonly target: string;
	readonly size: number;
	readonly bytes: AsyncIterable<Uint8Array>;
}

const ENTRIES_MAX = 100_000;

/** Reads a tar that may be gzip or zstd. Rejects with INVALID_ARGUMENT what is no archive, or has too many entries. */
export async function* readArchive(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<ArchiveEntry> {
	const unpacked = await decompressed(bytes);
	const entries = extract();
	const feeding = pipeline(unpacked, entries, {signal}).catch((error: unknown) => {
		entries.destroy(error instanceof Error ? error : new Error(String(error)));
	});
	let count = 0;
	try {
		for await (const entry of entries) {
			const {name, type, linkname, size} = entry.header;
			if (++count > ENTRIES_MAX) {
				throw new KeelsonError('INVALID_ARGUMENT', `archive has more than ${ENTRIES_MAX} entries`);
			}
			if (type === 'file' || type === 'contiguous-file' || type === 'symlink' || type === 'link') {
				const isLink = type === 'symlink' || type === 'link';
				yield {name: normalised(name), kind: isLink ? 'link' : 'file', target: isLink ? linkname ?? '' : '', size, bytes: entry as AsyncIterable<Uint8Array>};
			}
			entry.resume();
		}
	} catch (error) {
		signal.throwIfAborted();
		throw KeelsonError.from(error, 'INVALID_ARGUMENT');
	} finally {
		entries.destroy();
		await feeding;
	}
}

/** `./a/../b` is `b`; nothing here is ever used as a path. */
function normalised(name: string): string {
	const parts: string[] = [];
	for (const part of name.split('/')) {
		if (part === '..') {
			parts.pop();
		} else if (part !== '' && part !== '.') {
			parts.push(part);
		}
	}
	return parts.join('/');
}

/** Goes by the first bytes: archives are named and typed in every way. */
async function decompressed(bytes: AsyncIterable<Uint8Array>): Promise<Readable> {
	const iterator = bytes[Symbol.asyncIterator]();
	const first = await iterator.next();
	const head = first.done === true ? new Uint8Array() : first.value;
	const whole = Readable.from((async function* () {
		yield head;
		for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
			yield next.value;
		}
	})(), {objectMode: false});
	if (head[0] === 0x1f && head[1] === 0x8b) {
		return joined(whole, createGunzip());
	}
	if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) {
		return joined(whole, createZstdDecompress());
	}
	return whole;
}

function joined(source: Readable, transform: NodeJS.ReadWriteStream): Readable {
	const output = new PassThrough();
	pipeline(source, transform, output).catch((error: unknown) => {
		output.destroy(error instanceof Error ? error : new Error(String(error)));
	});
	return output;
}
