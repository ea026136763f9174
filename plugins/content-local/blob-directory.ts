import {mkdir, open, readdir, rename, stat, unlink} from 'node:fs/promises';
import path from 'node:path';
import {digestAlgorithm, digestHex, isDigest, type Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {KeyedLock} from '../../lib/lock/keyed-lock.ts';

/** A blob as the disk knows it. */
export interface BlobFile {
	readonly digest: Digest;
	/** Bytes. */
	readonly size: number;
	readonly modifiedAt: Date;
}

/**
 * The finished blobs.
 *
 *     blobs/sha256/<hex>      0444, whole from the moment it has this name
 */
export class BlobDirectory {
	readonly #root: string;
	readonly #adopting = new KeyedLock();

	private constructor(root: string) {
		this.#root = root;
	}

	static async open(root: string): Promise<BlobDirectory> {
		await mkdir(path.join(root, 'sha256'), {recursive: true, mode: 0o700});
		return new BlobDirectory(root);
	}

	pathOf(digest: Digest): string {
		return path.join(this.#root, digestAlgorithm(digest), digestHex(digest));
	}

	/** Undefined when it is not here. */
	async find(digest: Digest): Promise<BlobFile | undefined> {
		try {
			const {size, mtime} = await stat(this.pathOf(digest));
			return {digest, size, modifiedAt: mtime};
		} catch (error) {
			if (isMissing(error)) {
				return undefined;
			}
			throw KeelsonError.from(error);
		}
	}

	/** Takes a whole, synced file into the directory; false, and nothing done, when the blob is here. Resolves once its name is durable too. */
	async adopt(file: string, digest: Digest): Promise<boolean> {
		// Of several who bring the same bytes at once, one is the first, and the others answer when it is done.
		using _lock = await this.#adopting.hold(digest);
		if (await this.find(digest) !== undefined) {
			return false;
		}
		const target = this.pathOf(digest);
		await mkdir(path.dirname(target), {recursive: true, mode: 0o700});
		await rename(file, target);
		await syncDirectory(path.dirname(target));
		return true;
	}

	/** False when it was not here. */
	async delete(digest: Digest): Promise<boolean> {
		try {
			await unlink(this.pathOf(digest));
			return true;
		} catch (error) {
			if (isMissing(error)) {
				return false;
			}
			throw KeelsonError.from(error);
		}
	}

	/** In the order of digests; a name that is no digest is not ours, and is passed over. */
	async *list(): AsyncIterable<BlobFile> {
		for (const algorithm of (await readdir(this.#root)).toSorted()) {
			const names = await readdir(path.join(this.#root, algorithm)).catch((): string[] => []);
			for (const name of names.toSorted()) {
				const digest = `${algorithm}:${name}`;
				const blob = isDigest(digest) ? await this.find(digest) : undefined;
				if (blob !== undefined) {
					yield blob;
				}
			}
		}
	}
}

/** Makes names that were given or taken in a directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
	const handle = await open(directory, 'r');
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

export function isMissing(error: unknown): boolean {
	return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
