import {constants} from 'node:fs';
import {mkdir, open, readdir, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';
import {TarReader} from '../../lib/tar/tar-reader.ts';
import {encodeTarHeader, endMark, padding} from '../../lib/tar/tar-writer.ts';

const CHUNK_BYTES = 1024 * 1024;
const {O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY} = constants;
/** What an OCI layout has, and docker-archive's table beside it; also no more than what is written. */
const PLAIN = new Set(['oci-layout', 'index.json', 'manifest.json']);
const BLOB = /^blobs\/(?:sha256\/[0-9a-f]{64}|sha384\/[0-9a-f]{96}|sha512\/[0-9a-f]{128})$/;

/**
 * The tar of an OCI layout that lies in a directory. No symbolic link is followed: a layout from elsewhere must not show the files of this machine. Rejects with
 * NOT_FOUND when it is no layout, INVALID_ARGUMENT for a link or a device among its files.
 */
export async function* readLayout(directory: string): AsyncGenerator<Uint8Array, void, undefined> {
	const names = await namesIn(directory);
	for (const name of names) {
		await using file = await openPlain(directory, name);
		const {size} = await file.stat();
		yield encodeTarHeader({
			name: Buffer.from(name), type: 'file', mode: 0o444, size, uid: 0, gid: 0, mtimeNs: 0n, linkName: Buffer.alloc(0), device: {major: 0, minor: 0}, attributes: [],
		});
		for (let at = 0; at < size;) {
			const {bytesRead, buffer} = await file.read(Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - at)), 0, null, at);
			if (bytesRead === 0) {
				throw new KeelsonError('DATA_LOSS', `${path.join(directory, name)} ended after ${at} of ${size} bytes`);
			}
			yield buffer.subarray(0, bytesRead);
			at += bytesRead;
		}
		yield padding(size);
	}
	yield endMark;
}

/** The tables of contents first, then blobs. */
async function namesIn(directory: string): Promise<readonly string[]> {
	const top = new Set(await readdir(directory));
	if (!top.has('index.json')) {
		throw new KeelsonError('NOT_FOUND', `${directory} is no OCI layout: it has no index.json`);
	}
	const blobs: string[] = [];
	for (const algorithm of top.has('blobs') ? await readdir(path.join(directory, 'blobs')) : []) {
		blobs.push(...(await readdir(path.join(directory, 'blobs', algorithm))).map(name => `blobs/${algorithm}/${name}`).filter(name => BLOB.test(name)));
	}
	return [...[...PLAIN].filter(name => top.has(name)), ...blobs.toSorted()];
}

async function openPlain(directory: string, name: string): Promise<FileHandle> {
	const file = path.join(directory, name);
	const handle = await open(file, O_RDONLY | O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
		throw KeelsonError.from(error, 'INVALID_ARGUMENT');
	});
	if (!(await handle.stat()).isFile()) {
		await handle.close();
		throw new KeelsonError('INVALID_ARGUMENT', `${file} is no plain file`);
	}
	return handle;
}

/** Writes the tar of an OCI layout as files below a directory, which must be new or empty. Rejects with ALREADY_EXISTS when it is not, INVALID_ARGUMENT for what no layout has. */
export class LayoutWriter implements AsyncDisposable {
	readonly #directory: string;
	readonly #reader: TarReader;
	/** What the reader told, until it is written. */
	readonly #told: (() => Promise<void>)[] = [];
	#file: FileHandle | undefined;

	private constructor(directory: string) {
		this.#directory = directory;
		this.#reader = new TarReader({
			entry: ({name, type}) => this.#told.push(async () => this.#begin(name.toString('utf8'), type)),
			data: bytes => {
				// Valid during the call only.
				const copy = Buffer.from(bytes);
				this.#told.push(async () => {
					await this.#file?.writeFile(copy);
				});
			},
			entryEnd: () => this.#told.push(async () => this.#end()),
		});
	}

	static async create(directory: string): Promise<LayoutWriter> {
		await mkdir(directory, {recursive: true});
		if ((await readdir(directory)).length > 0) {
			throw new KeelsonError('ALREADY_EXISTS', `${directory} is not empty`);
		}
		return new LayoutWriter(directory);
	}

	async write(chunk: Uint8Array): Promise<void> {
		this.#reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
		for (const step of this.#told.splice(0)) {
			await step();
		}
	}

	/** Rejects with DATA_LOSS when the tar was cut short. */
	end(): void {
		this.#reader.end();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#end();
	}

	async #begin(name: string, type: string): Promise<void> {
		if (type === 'directory') {
			return;
		}
		if (type !== 'file' || (!PLAIN.has(name) && !BLOB.test(name))) {
			throw new KeelsonError('INVALID_ARGUMENT', `the archive has a ${type} ${JSON.stringify(name.slice(0, 200))}, which no OCI layout has`);
		}
		const file = path.join(this.#directory, name);
		await mkdir(path.dirname(file), {recursive: true});
		this.#file = await open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
	}

	async #end(): Promise<void> {
		await this.#file?.close();
		this.#file = undefined;
	}
}
