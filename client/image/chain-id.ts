import {createHash} from 'node:crypto';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';

/** The name of the snapshot that has all these layers, lowest first (image-spec config.md, Layer ChainID); undefined for none. */
export function chainId(diffIds: readonly Digest[]): Digest | undefined {
	let chain: Digest | undefined;
	for (const diffId of diffIds) {
		chain = chain === undefined ? diffId : parseDigest(`sha256:${createHash('sha256').update(`${chain} ${diffId}`).digest('hex')}`);
	}
	return chain;
}
