import type {ContentReader, ReadRange} from '../../contracts/content/content.ts';
import type {Digest} from '../../contracts/oci/digest.ts';

/** After the last use. */
const lingerMs = 1000;
const openMax = 64;

interface Shared {
	readonly reader: ContentReader;
	users: number;
	timer: NodeJS.Timeout | undefined;
}

/**
 * Blobs that were just read, whose files stay open for a moment: clients read a large one by a call for each 32 KiB, and to open and to close it for each is most of what that
 * costs.
 */
export class OpenBlobs implements AsyncDisposable {
	/** Used longest ago first. */
	readonly #open = new Map<Digest, Shared>();
	#deletions = 0;

	/** Undefined when it is not open. */
	get(digest: Digest): ContentReader | undefined {
		const shared = this.#open.get(digest);
		return shared === undefined ? undefined : this.#use(shared);
	}

	/** What is to be told to `keep`, asked before the file is opened. */
	get deletions(): number {
		return this.#deletions;
	}

	/** Takes a reader over. What was deleted since `deletions` was asked is not kept. */
	keep(reader: ContentReader, deletions: number): ContentReader {
		if (this.#open.has(reader.digest) || this.#open.size >= openMax || deletions !== this.#deletions) {
			return reader;
		}
		const shared: Shared = {reader, users: 0, timer: undefined};
		this.#open.set(reader.digest, shared);
		return this.#use(shared);
	}

	/** To be called when a blob is deleted: afterwards nobody is to find it here. */
	async forget(digest: Digest): Promise<void> {
		this.#deletions++;
		const shared = this.#open.get(digest);
		if (shared !== undefined) {
			await this.#drop(shared);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.#open.values()].map(async shared => this.#drop(shared)));
	}

	#use(shared: Shared): ContentReader {
		clearTimeout(shared.timer);
		shared.users++;
		return new SharedReader(shared.reader, async () => this.#release(shared));
	}

	async #release(shared: Shared): Promise<void> {
		shared.users--;
		if (shared.users > 0) {
			return;
		}
		if (this.#open.get(shared.reader.digest) === shared) {
			shared.timer = setTimeout(() => void this.#drop(shared), lingerMs).unref();
		} else {
			await shared.reader[Symbol.asyncDispose]();
		}
	}

	/** Closed by whoever uses it last. */
	async #drop(shared: Shared): Promise<void> {
		clearTimeout(shared.timer);
		if (this.#open.get(shared.reader.digest) === shared) {
			this.#open.delete(shared.reader.digest);
			if (shared.users === 0) {
				await shared.reader[Symbol.asyncDispose]();
			}
		}
	}
}

class SharedReader implements ContentReader {
	readonly digest: Digest;
	readonly size: number;
	readonly file?: string;
	readonly #reader: ContentReader;
	#release: (() => Promise<void>) | undefined;

	constructor(reader: ContentReader, release: () => Promise<void>) {
		const {digest, size, file} = reader;
		this.digest = digest;
		this.size = size;
		if (file !== undefined) {
			this.file = file;
		}
		this.#reader = reader;
		this.#release = release;
	}

	read(range?: ReadRange): AsyncIterable<Uint8Array> {
		return this.#reader.read(range);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const release = this.#release;
		this.#release = undefined;
		await release?.();
	}
}
