import {Options} from '../../../api/gen/types/runc/options/oci.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import type {RuntimeSearch} from './runtime-binary.ts';

const type = 'containerd.runc.v1.Options';

/** The options of a container as its shim is to have them: with the OCI runtime that the configuration names for the runtime's name, unless they name one. */
export function withOciRuntime(options: Any | undefined, name: string, binary: string, {own, ociRuntimes}: RuntimeSearch): Any | undefined {
	const binaryName = Object.hasOwn(ociRuntimes, name) && binary === own ? ociRuntimes[name] : undefined;
	const isOther = options !== undefined && options.value.length > 0 && options.typeUrl.replace('type.googleapis.com/', '') !== type;
	if (binaryName === undefined || isOther) {
		return options;
	}
	const given = Options.decode(options?.value ?? new Uint8Array(0));
	return given.binaryName === '' ? {typeUrl: type, value: Options.encode({...given, binaryName}).finish()} : options;
}
