import {TarReader} from '../../lib/tar/tar-reader.ts';
import type {TarEntry} from '../../lib/tar/tar-entry.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {inflated} from './inflated.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

/** One regular file or link of an archive; its bytes must be read, or left, before the next is asked for. */
export interface ArchiveEntry {
	/** Normalised, relative: `blobs/sha256/…`. */
	readonly name: string;
	readonly kind: 'file' | 'link';
	/** Where a link points to, from the root of the archive; empty for a file. */
	readonly target: string;
	readonly size: number;
	readonly bytes: AsyncIterable<Uint8Array>;
}

const ENTRIES_MAX = 100_000;

/**
 * Reads a tar that may be gzip or zstd. Rejects with INVALID_ARGUMENT what is no archive, has too many entries or a sparse one, and with DATA_LOSS what is
 * cut short. Nothing is kept of the bytes but one chunk.
 */
export async function* readArchive(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<ArchiveEntry, void, undefined> {
	const parts = readParts(inflated(bytes, signal), signal);
	let count = 0;
	try {
		for (let next = await parts.next(); next.done !== true; next = await parts.next()) {
			// What was not read of an entry is passed over.
			if (next.value.kind !== 'entry') {
				continue;
			}
			if (++count > ENTRIES_MAX) {
				throw new KeelsonError('INVALID_ARGUMENT', `archive has more than ${ENTRIES_MAX} entries`);
			}
			const entry = archiveEntry(next.value.entry, parts);
			if (entry !== undefined) {
				yield entry;
			}
		}
	} finally {
		await parts.return();
	}
}

function archiveEntry({name: bytes, type, linkName, size, extents}: TarEntry, parts: Parts): ArchiveEntry | undefined {
	const name = normalised(bytes.toString('utf8'));
	if (extents !== undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `archive entry ${JSON.stringify(name.slice(0, 200))} is a sparse file, which no image archive has`);
	}
	if (type === 'file') {
		return {name, kind: 'file', target: '', size, bytes: bodyOf(parts)};
	}
	if (type === 'link' || type === 'symlink') {
		const target = linkName.toString('utf8');
		// A hard link counts from the root, a symbolic one from where it lies.
		return {name, kind: 'link', target: normalised(type === 'link' ? target : `${name}/../${target}`), size: 0, bytes: bodyOf(parts)};
	}
	return undefined;
}

type Part = {readonly kind: 'entry'; readonly entry: TarEntry} | {readonly kind: 'data'; readonly data: Buffer} | {readonly kind: 'end'};

type Parts = AsyncGenerator<Part, void, undefined>;

/** What the tar reader tells of each chunk, in order. */
async function* readParts(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Parts {
	const parts: Part[] = [];
	const reader = new TarReader({
		entry: entry => parts.push({kind: 'entry', entry}),
		data: data => parts.push({kind: 'data', data}),
		entryEnd: () => parts.push({kind: 'end'}),
	});
	const iterator = bytes[Symbol.asyncIterator]();
	// Beyond the end mark too: what comes there may say that the compressed stream was cut short, and a client waits until all was taken.
	try {
		for (let next = await untilAborted(iterator.next(), signal); next.done !== true; next = await untilAborted(iterator.next(), signal)) {
			const {value} = next;
			reader.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
			yield* parts.splice(0);
		}
		reader.end();
		yield* parts.splice(0);
	} finally {
		// Not waited for: a source that stalls ends with its signal.
		void Promise.resolve(iterator.return?.()).catch(() => undefined);
	}
}

/** The bytes of the entry that was told last. A second walk goes on where the first stopped. */
function bodyOf(parts: Parts): AsyncIterable<Uint8Array> {
	let isOver = false;
	return {
		async *[Symbol.asyncIterator]() {
			while (!isOver) {
				const {value: part} = await parts.next();
				if (part?.kind === 'data') {
					yield part.data;
				} else {
					isOver = true;
				}
			}
		},
	};
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
