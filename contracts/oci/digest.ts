import {KeelsonError} from '../../kernel/errors.ts';

/** An algorithm, a colon, lower-case hex: `sha256:9f86…`. Only `parseDigest` makes one, so a Digest is safe as part of a path. */
export type Digest = `${DigestAlgorithm}:${string}`;

export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512';

const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = {sha256: 64, sha384: 96, sha512: 128};

/** Rejects with INVALID_ARGUMENT whatever is not exactly a digest of a known algorithm (image-spec descriptor.md, Digests). */
export function parseDigest(text: string): Digest {
	if (!isDigest(text)) {
		throw new KeelsonError('INVALID_ARGUMENT', `invalid digest ${JSON.stringify(text.slice(0, 200))}: expected sha256, sha384 or sha512, a colon and lower-case hex`);
	}
	return text;
}

export function isDigest(text: string): text is Digest {
	const [algorithm = '', hex = '', ...rest] = text.split(':', 3);
	return rest.length === 0 && Object.hasOwn(HEX_LENGTH, algorithm)
		&& hex.length === HEX_LENGTH[algorithm as DigestAlgorithm] && /^[0-9a-f]+$/.test(hex);
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
	return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;
}

/** The hex half. */
export function digestHex(digest: Digest): string {
	return digest.slice(digest.indexOf(':') + 1);
}
