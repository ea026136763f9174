import type {Digest} from '../contracts/oci/digest.ts';
import {KeelsonError} from '../kernel/errors.ts';
import type {CallOptions} from './channel.ts';
import type {Services} from './services.ts';

const DOCUMENT_BYTES_MAX = 8 * 1024 * 1024;

/** The bytes of a blob as they come, from an offset on. Rejects with NOT_FOUND. */
export async function* readBlob(services: Pick<Services, 'content'>, digest: Digest, options: CallOptions & {readonly offset?: number; readonly size?: number} = {}): AsyncGenerator<Uint8Array, void, undefined> {
	const {offset = 0, size = 0, ...call} = options;
	for await (const {data} of services.content.read({digest, offset: BigInt(offset), size: BigInt(size)}, call)) {
		yield data;
	}
}

/** A manifest, index or config, parsed. Rejects with NOT_FOUND, RESOURCE_EXHAUSTED above 8 MiB, INVALID_ARGUMENT where it is no JSON object. */
export async function readDocument(services: Pick<Services, 'content'>, digest: Digest, options: CallOptions = {}): Promise<Readonly<Record<string, unknown>>> {
	const chunks: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of readBlob(services, digest, options)) {
		size += chunk.byteLength;
		if (size > DOCUMENT_BYTES_MAX) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `document ${digest} is larger than ${DOCUMENT_BYTES_MAX} bytes`);
		}
		chunks.push(chunk);
	}
	const document = parsed(Buffer.concat(chunks).toString('utf8'), digest);
	if (typeof document !== 'object' || document === null || Array.isArray(document)) {
		throw new KeelsonError('INVALID_ARGUMENT', `document ${digest} is no JSON object`);
	}
	return document as Readonly<Record<string, unknown>>;
}

function parsed(text: string, digest: Digest): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `document ${digest} is no JSON`, {cause: error});
	}
}
