import {randomUUID} from 'node:crypto';
import {Readable} from 'node:stream';
import {createGzip} from 'node:zlib';
import type {Digest} from '../../contracts/oci/digest.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import type {Job} from './transfer.ts';

/** The gzip of a blob, as a blob of its own, labelled with what it unpacks to. */
export async function compressBlob(job: Job, from: Digest): Promise<{digest: Digest; size: number}> {
	const {signal} = job.request;
	const {content} = job.scope;
	await using reader = await content.open(from);
	await using writer = await content.writer({ref: `compress-${randomUUID()}`, signal});
	const compressed = Readable.from(reader.read({signal}), {objectMode: false}).pipe(createGzip());
	for await (const chunk of compressed as AsyncIterable<Uint8Array>) {
		await writer.write(chunk);
	}
	const size = writer.status().offset;
	try {
		return {digest: await writer.commit({size, labels: {'containerd.io/uncompressed': from}}), size};
	} catch (error) {
		const [digest] = isKeelsonError(error, 'ALREADY_EXISTS') ? /sha256:[0-9a-f]{64}/.exec(error.message) ?? [] : [];
		if (digest === undefined) {
			throw error;
		}
		return {digest: digest as Digest, size};
	}
}
