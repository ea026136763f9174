import {encodeTarHeader, endMark, padding} from '../../lib/tar/tar-writer.ts';
import {KeelsonError} from '../../kernel/errors.ts';

interface File {
	readonly mode: number;
	readonly size: number;
	readonly bytes: AsyncIterable<Uint8Array>;
}

/** Writes a tar, no faster than it is taken. Owners are root, times 1970, so that the same content is the same archive. */
export class ArchiveWriter {
	readonly #write: (chunk: Uint8Array) => Promise<void>;

	constructor(write: (chunk: Uint8Array) => Promise<void>) {
		this.#write = write;
	}

	async directory(name: string): Promise<void> {
		await this.#header(name, 'directory', 0o755, 0);
	}

	/** Rejects with DATA_LOSS when there are not as many bytes as were announced. */
	async file(name: string, {mode, size, bytes}: File): Promise<void> {
		await this.#header(name, 'file', mode, size);
		let written = 0;
		for await (const chunk of bytes) {
			written += chunk.length;
			await this.#write(chunk);
		}
		if (written !== size) {
			throw new KeelsonError('DATA_LOSS', `${name} gave ${written} bytes for an archive, expected ${size}`);
		}
		await this.#write(padding(size));
	}

	async json(name: string, value: unknown): Promise<void> {
		const bytes = Buffer.from(JSON.stringify(value));
		await this.#header(name, 'file', 0o644, bytes.length);
		await this.#write(Buffer.concat([bytes, padding(bytes.length)]));
	}

	async end(): Promise<void> {
		await this.#write(endMark);
	}

	async #header(name: string, type: 'file' | 'directory', mode: number, size: number): Promise<void> {
		await this.#write(encodeTarHeader({
			name: Buffer.from(name), type, mode, size, uid: 0, gid: 0, mtimeNs: 0n, linkName: Buffer.alloc(0), device: {major: 0, minor: 0}, attributes: [],
		}));
	}
}
