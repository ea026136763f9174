import * as messages from '../../../api/gen/types/runc/options/oci.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {CheckpointOptions, ContainerOptions} from './container-options.ts';

/** Reads the options of a create. Without any, or with the empty Any that clients send for none, they are all defaults. Throws INVALID_ARGUMENT for another type. */
export function decodeOptions(any: Any | undefined): ContainerOptions {
	return messages.Options.decode(bytesOf(any, 'containerd.runc.v1.Options'));
}

export function decodeCheckpointOptions(any: Any | undefined): CheckpointOptions {
	return messages.CheckpointOptions.decode(bytesOf(any, 'containerd.runc.v1.CheckpointOptions'));
}

function bytesOf(any: Any | undefined, expected: string): Uint8Array {
	const type = any?.typeUrl.replace('type.googleapis.com/', '') ?? '';
	if (any === undefined || any.value.length === 0 || type === '') {
		return new Uint8Array(0);
	}
	if (type !== expected) {
		throw new KeelsonError('INVALID_ARGUMENT', `options are of type ${any.typeUrl}, expected ${expected}`);
	}
	return any.value;
}
