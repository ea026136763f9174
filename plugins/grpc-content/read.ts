import type {ReadContentResponse} from '../../api/gen/services/content/v1/content.ts';
import type {ContentProvider} from '../../contracts/content/content.ts';
import type {Digest} from '../../contracts/oci/digest.ts';

// Larger messages are not faster, and some clients take no more than 4 MiB.
const CHUNK_BYTES = 1024 * 1024;

/** The bytes of a range in messages of at most 1 MiB; a size of 0 means to the end, as does one beyond it. */
export async function* readBlob(
	store: ContentProvider,
	digest: Digest,
	{offset, size, signal}: {readonly offset: number; readonly size: number; readonly signal: AbortSignal},
): AsyncGenerator<ReadContentResponse, void, undefined> {
	await using reader = await store.open(digest);
	let position = offset;
	for await (const chunk of reader.read({offset, signal, ...(size === 0 ? {} : {size})})) {
		for (let start = 0; start < chunk.byteLength; start += CHUNK_BYTES) {
			const data = chunk.subarray(start, start + CHUNK_BYTES);
			yield {offset: BigInt(position), data};
			position += data.byteLength;
		}
	}
}
