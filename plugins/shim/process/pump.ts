import type {Writable} from 'node:stream';

export interface PumpOptions {
	/** What is kept at most for a reader that does not come; 0: the source waits instead. */
	readonly bufferBytes: number;
	/** Called with the bytes that found no room. */
	readonly dropped: (bytes: number) => void;
	/** Called once all is passed on. */
	readonly ended?: () => void;
}

/** The source waits for the target. */
export const waiting: PumpOptions = {bufferBytes: 0, dropped: () => undefined};

/** What a chunk costs beside its bytes: a process may write one at a time. */
const chunkBytes = 128;

/**
 * Passes everything on in order; resolves at the end of the source, or when that is destroyed, once all is written. With a buffer the source is always read, and what
 * has waited longest is dropped. A target that fails takes the rest to nowhere: the source is never blocked by it. Never rejects.
 */
export async function pump(from: AsyncIterable<Buffer>, to: Writable, {bufferBytes, dropped, ended}: PumpOptions): Promise<void> {
	const queue: Buffer[] = [];
	let cost = 0;
	let writing: Promise<void> | undefined;
	const writeAll = async (): Promise<void> => {
		for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
			cost -= next.length + chunkBytes;
			await written(to, next);
		}
		writing = undefined;
	};
	try {
		for await (const chunk of from) {
			queue.push(chunk);
			cost += chunk.length + chunkBytes;
			if (bufferBytes === 0) {
				await writeAll();
				continue;
			}
			while (cost > bufferBytes && queue.length > 1) {
				const oldest = queue.shift()?.length ?? 0;
				cost -= oldest + chunkBytes;
				dropped(oldest);
			}
			writing ??= writeAll();
		}
	} catch {
		// Destroyed; or a terminal whose last user has closed it, which ends with EIO.
	}
	await writing;
	ended?.();
}

async function written(to: Writable, chunk: Buffer): Promise<void> {
	return new Promise(resolve => {
		to.write(chunk, () => resolve());
	});
}
