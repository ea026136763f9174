import {KeelsonError} from '../../kernel/errors.ts';

interface ReadOptions {
	/** Bytes at most; more rejects with RESOURCE_EXHAUSTED. */
	readonly limit: number;
	/** Names the document in errors. */
	readonly what: string;
}

/** A whole document, bounded. */
export async function readBytes(body: AsyncIterable<Uint8Array>, {limit, what}: ReadOptions): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of body) {
		size += chunk.length;
		if (size > limit) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `${what} has more than ${limit} bytes`);
		}
		// It is valid until the next is asked for.
		chunks.push(Buffer.from(chunk));
	}
	return Buffer.concat(chunks);
}

/** Reads what is left, up to so many bytes. */
export async function dumpBytes(body: AsyncIterable<Uint8Array>, {limit}: Pick<ReadOptions, 'limit'>): Promise<void> {
	let length = 0;
	for await (const chunk of body) {
		length += chunk.length;
		if (length > limit) {
			return;
		}
	}
}

/** Rejects with INVALID_ARGUMENT when it is not JSON. */
export async function readJson(body: AsyncIterable<Uint8Array>, options: ReadOptions): Promise<unknown> {
	const bytes = await readBytes(body, options);
	try {
		return JSON.parse(bytes.toString('utf8')) as unknown;
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${options.what} is not JSON: ${JSON.stringify(bytes.subarray(0, 60).toString('utf8'))}`, {cause: error});
	}
}
