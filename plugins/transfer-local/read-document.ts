import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {documentBytesMax} from './manifest.ts';
import type {Job} from './job.ts';

/** A small document of the store, whole. Rejects with NOT_FOUND, and with RESOURCE_EXHAUSTED when it is not small. */
export async function readDocument(job: Job, {digest}: Pick<Descriptor, 'digest'>): Promise<Buffer> {
	await using reader = await job.scope.content.open(digest);
	if (reader.size > documentBytesMax) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `document ${digest} has ${reader.size} bytes, at most ${documentBytesMax} are read`);
	}
	return Buffer.concat(await Array.fromAsync(reader.read({signal: job.request.signal})));
}
