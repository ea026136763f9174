import {createHash} from 'node:crypto';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {ImageConfig} from './manifest.ts';

/** A layer in its place. */
export interface ChainedLayer {
	readonly descriptor: Descriptor;
	readonly diffId: Digest;
	/** Names the tree of this layer and all below it (image-spec config.md, Layer ChainID). */
	readonly chainId: Digest;
	/** The chain id below; empty for the lowest. */
	readonly parent: Digest | '';
}

/** Pure. Rejects with INVALID_ARGUMENT where config and manifest do not have as many layers. */
export function chainOf(layers: readonly Descriptor[], {diffIds}: ImageConfig, config: Digest): readonly ChainedLayer[] {
	if (diffIds.length !== layers.length) {
		throw new KeelsonError('INVALID_ARGUMENT', `config ${config} has ${diffIds.length} diff ids, its manifest has ${layers.length} layers`);
	}
	let parent: Digest | '' = '';
	return layers.map((descriptor, index): ChainedLayer => {
		const diffId = diffIds[index] as Digest;
		const chainId: Digest = parent === '' ? diffId : `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`;
		const layer = {descriptor, diffId, chainId, parent};
		parent = chainId;
		return layer;
	});
}
