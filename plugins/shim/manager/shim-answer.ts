import {BootstrapResult} from '../../../api/gen/runtime/bootstrap/v1/bootstrap.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {ShimAddress} from './bundle.ts';

/**
 * Reads what a shim's `start` printed, in any of its three ways: a bare address, JSON (containerd 1.7 to 2.2), or the bytes of a
 * BootstrapResult (2.3). Throws INTERNAL for what is none of them, UNIMPLEMENTED for a protocol that is not spoken here.
 */
export function parseAnswer(output: Uint8Array): ShimAddress {
	const {version, address, protocol} = readAnswer(output);
	if (typeof address !== 'string' || !/^unix:\/\/\/|^\//.test(address)) {
		throw refused(output);
	}
	if ((version !== 2 && version !== 3) || protocol !== 'ttrpc') {
		throw new KeelsonError('UNIMPLEMENTED', `the shim at ${address} speaks ${protocol} version ${version}, expected ttrpc version 2 or 3`);
	}
	return {version, address, protocol};
}

function readAnswer(output: Uint8Array): Partial<ShimAddress> {
	const text = Buffer.from(output).toString().trim();
	if (text.startsWith('/') || text.startsWith('unix:')) {
		return {version: 2, address: text, protocol: 'ttrpc'};
	}
	try {
		if (text.startsWith('{')) {
			const {version, address, protocol = 'ttrpc'} = JSON.parse(text) as Partial<ShimAddress>;
			return {...version === undefined ? {} : {version}, ...address === undefined ? {} : {address}, protocol};
		}
		// As it came: these bytes may begin or end with what looks like white space.
		const {version, address, protocol} = BootstrapResult.decode(output);
		return {version, address, protocol: protocol || 'ttrpc'};
	} catch (error) {
		throw refused(output, error);
	}
}

function refused(output: Uint8Array, cause?: unknown): KeelsonError {
	const text = JSON.stringify(Buffer.from(output.subarray(0, 500)).toString());
	return new KeelsonError('INTERNAL', `the shim printed ${text}, expected the address of a unix socket`, {cause});
}
