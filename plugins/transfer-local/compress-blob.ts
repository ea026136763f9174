import {pipeline} from 'node:stream/promises';
import {createGzip} from 'node:zlib';
import type {Digest} from '../../contracts/oci/digest.ts';
import type {Job} from './job.ts';
import {keepBytes} from './keep-bytes.ts';

/** The gzip of a blob, as a blob of its own, labelled with what it unpacks to. */
export async function compressBlob(job: Job, from: Digest): Promise<{digest: Digest; size: number}> {
	const {signal} = job.request;
	const {content} = job.scope;
	await using reader = await content.open(from);
	const gzip = createGzip();
	// Its failure is that of the transform, which whoever reads it meets.
	const feeding = pipeline(reader.read({signal}), gzip, {signal}).catch(() => undefined);
	try {
		const digest = await keepBytes(job, gzip, {labels: {'containerd.io/uncompressed': from}});
		const {size} = await content.info(digest);
		return {digest, size};
	} finally {
		gzip.destroy();
		await feeding;
	}
}
