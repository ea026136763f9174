import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {Job} from './job.ts';
import {refKey} from './manifest.ts';
import {addSources} from './source-label.ts';

export interface KeepOptions {
	/** Where their bytes would come from. */
	readonly labels: Labels;
	readonly parents?: readonly string[];
}

/** Which of these blobs are here: the job's lease protects them from now on, in one change, and it is told of each. */
export async function keepBlobs(job: Job, descriptors: readonly Descriptor[], {labels, parents = []}: KeepOptions): Promise<ReadonlySet<Digest>> {
	const kept = await job.scope.content.keep(descriptors.map(({digest}) => digest));
	for (const descriptor of new Map(descriptors.map(one => [one.digest, one])).values()) {
		const info = kept.get(descriptor.digest);
		if (info !== undefined) {
			await addSources(job, info, labels);
			job.report('already exists', refKey(descriptor), {parents, total: descriptor.size, progress: descriptor.size, descriptor});
		}
	}
	return new Set(kept.keys());
}
