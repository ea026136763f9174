import {KeelsonError} from '../../kernel/errors.ts';
import {isForeignLayer, isLayer} from '../../contracts/oci/media-type.ts';
import {isZstd} from '../../lib/zstd/frames.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/**
 * What a layer's media type says of its compression: `unknown` for one without suffix, of which old images have compressed ones.
 * Rejects with UNIMPLEMENTED for what is no layer, is encrypted, or is compressed in another way.
 */
export function compressionOf(mediaType: string): Compression | 'unknown' {
	const [base = '', ...suffixes] = mediaType.split(/[+;]/);
	if ((isLayer(mediaType) || isForeignLayer(mediaType)) && !suffixes.includes('encrypted')) {
		const suffix = suffixes[0]?.trim() ?? /\.tar\.(\w+)$/.exec(base)?.[1];
		switch (suffix) {
			case undefined: {
				return 'unknown';
			}
			case 'gzip':
			case 'zstd': {
				return suffix;
			}
			default:
		}
	}
	throw new KeelsonError('UNIMPLEMENTED', `cannot unpack ${JSON.stringify(mediaType.slice(0, 200))}: expected a layer, plain or with gzip or zstd`);
}

/** By the first bytes: RFC 1952, RFC 8878. */
export function detectCompression(start: Uint8Array): Compression {
	if (start[0] === 0x1f && start[1] === 0x8b && start[2] === 8) {
		return 'gzip';
	}
	return isZstd(start) ? 'zstd' : 'none';
}

/** So many bytes tell. */
export const magicBytes = 4;

/** Decides by media type and first bytes. Rejects with UNIMPLEMENTED, and INVALID_ARGUMENT where the two disagree. */
export function decideCompression(mediaType: string, start: Uint8Array): Compression {
	const said = compressionOf(mediaType);
	const found = detectCompression(start);
	if (said === 'unknown' || said === found) {
		return found;
	}
	throw new KeelsonError('INVALID_ARGUMENT', `a layer of type ${mediaType} begins with ${Buffer.from(start.subarray(0, magicBytes)).toString('hex')}, which is not ${said}`);
}
