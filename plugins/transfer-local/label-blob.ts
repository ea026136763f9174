import type {ContentInfo} from '../../contracts/content/content.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {Job} from './job.ts';

/** Gives a blob those of the labels that it does not have yet: what is there already costs no commit. @param blob as it is known to be */
export async function labelBlob({scope: {content}}: Job, {digest, labels: before}: Pick<ContentInfo, 'digest' | 'labels'>, labels: Labels): Promise<void> {
	const missing = Object.fromEntries(Object.entries(labels).filter(([key, value]) => before[key] !== value));
	const keys = Object.keys(missing);
	if (keys.length > 0) {
		await content.update(digest, missing, keys.map(key => `labels.${key}`));
	}
}
