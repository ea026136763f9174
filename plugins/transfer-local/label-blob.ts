import type {Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {Job} from './job.ts';

/** Gives a blob those of the labels that it does not have yet: what is there already costs no commit. */
export async function labelBlob({scope: {content}}: Job, digest: Digest, labels: Labels): Promise<void> {
	const {labels: before} = await content.info(digest);
	const missing = Object.fromEntries(Object.entries(labels).filter(([key, value]) => before[key] !== value));
	const keys = Object.keys(missing);
	if (keys.length > 0) {
		await content.update(digest, missing, keys.map(key => `labels.${key}`));
	}
}
