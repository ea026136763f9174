import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {parseDigest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Descriptor as DescriptorMessage} from '../gen/types/descriptor.ts';
import {bytesOf} from './bytes.ts';

/** Throws INVALID_ARGUMENT, naming `what`, where there is none, or its digest or size makes no sense. */
export function descriptorOf(message: DescriptorMessage | undefined, what: string): Descriptor {
	if (message === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is missing`);
	}
	const {mediaType, digest, size, annotations} = message;
	return {
		mediaType,
		digest: parseDigest(digest),
		size: bytesOf(size, `size of ${what}`),
		...(Object.keys(annotations).length === 0 ? {} : {annotations}),
	};
}

/** What the wire has of a descriptor. */
export function descriptorMessage({mediaType, digest, size, annotations = {}}: Descriptor): DescriptorMessage {
	return {mediaType, digest, size: BigInt(size), annotations: {...annotations}};
}
