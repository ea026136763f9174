import {BootstrapParams, BootstrapResult, LogLevel} from '../../../api/gen/runtime/bootstrap/v1/bootstrap.ts';
import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import type {ShimArguments} from './shim-arguments.ts';

/**
 * What containerd 2.3 says on standard input: flags, completed and overruled by it. Undefined when the input is something else: the
 * options of an older daemon can be decoded as well, but name another container.
 */
export function withBootstrap(flags: ShimArguments, input: Uint8Array): ShimArguments | undefined {
	const params = decode(input);
	if (params === undefined || !isIdentifier(params.instanceId) || !isIdentifier(params.namespace)) {
		return undefined;
	}
	const {instanceId: id, namespace, logLevel, containerdTtrpcAddress, containerdGrpcAddress, containerdBinary, socketDir} = params;
	if ((flags.id !== '' && flags.id !== id) || (flags.namespace !== '' && flags.namespace !== namespace)) {
		return undefined;
	}
	return {
		...flags, id, namespace,
		answer: 'bootstrap',
		address: containerdGrpcAddress || flags.address,
		ttrpcAddress: containerdTtrpcAddress || flags.ttrpcAddress,
		publishBinary: containerdBinary || flags.publishBinary,
		debug: flags.debug || logLevel <= LogLevel.LOG_LEVEL_DEBUG,
		...(socketDir === undefined || socketDir === '' ? {} : {socketDirectory: socketDir}),
	};
}

/** A BootstrapResult. It has no zero byte and does not end in a newline, which the launcher, a shell, would lose. */
export function bootstrapAnswer(address: string): Uint8Array {
	return BootstrapResult.encode(BootstrapResult.fromPartial({version: 3, address, protocol: 'ttrpc'})).finish();
}

function isIdentifier(text: string): boolean {
	try {
		return parseIdentifier(text, 'id') === text;
	} catch {
		return false;
	}
}

function decode(input: Uint8Array): BootstrapParams | undefined {
	try {
		return BootstrapParams.decode(input);
	} catch {
		return undefined;
	}
}
