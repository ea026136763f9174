import type {ContentInfo} from '../../contracts/content/content.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {parseReference} from '../../contracts/oci/reference.ts';
import type {Job} from './job.ts';
import {labelBlob} from './label-blob.ts';

/** What a key and its value may have together, as with containerd. */
const LABEL_CHARACTERS_MAX = 4096;

/** The label that says from which repositories of a registry a blob came; the port does not count, as with containerd. */
export function sourceLabel(reference: string): string {
	return `containerd.io/distribution.source.${parseReference(reference).host.replace(/:\d+$/, '')}`;
}

/** Says of a blob that is here that it can be had from these repositories too. One that no longer fits is left out. */
export async function addSources(job: Job, blob: Pick<ContentInfo, 'digest' | 'labels'>, sources: Labels): Promise<void> {
	const changed = Object.fromEntries(Object.entries(sources)
		.map(([key, repository]) => [key, [...new Set([...(blob.labels[key] ?? '').split(','), repository])].filter(one => one !== '').toSorted().join(',')] as const)
		.filter(([key, value]) => key.length + value.length <= LABEL_CHARACTERS_MAX));
	await labelBlob(job, blob, changed);
}
