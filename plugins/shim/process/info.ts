import {RuntimeInfo} from '../../../api/gen/types/introspection.ts';
import {Options} from '../../../api/gen/types/runc/options/oci.ts';
import {Any} from '../../../api/gen/google/protobuf/any.ts';
import type {OciRuntimes} from '../../../contracts/oci-runtime/oci-runtime.ts';

/**
 * What `-info` prints: a RuntimeInfo with the features of the runtime that the options on standard input choose.
 * @param input an Any with options, or nothing
 */
export async function describeRuntime(input: Uint8Array, runtimes: OciRuntimes, {name, version, scratch}: {
	readonly name: string; readonly version: string; readonly scratch: string;
}): Promise<Uint8Array> {
	const any = Any.decode(input);
	const options = any.typeUrl === 'containerd.runc.v1.Options' ? Options.decode(any.value) : Options.fromPartial({});
	const runtime = runtimes.open({binary: options.binaryName || 'runc', root: options.root || scratch, log: `${scratch}/log.json`, systemdCgroup: options.systemdCgroup});
	const features = await runtime.features();
	return RuntimeInfo.encode(RuntimeInfo.fromPartial({
		name,
		version: {version, revision: ''},
		...(any.typeUrl === '' ? {} : {options: any}),
		...(features === undefined ? {} : {features: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/features/Features', value: features}}),
	})).finish();
}
