import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {StoreEnd} from '../../contracts/transfer/transfer.ts';
import {saveImage} from './save-image.ts';
import type {Job} from './job.ts';

/** Another name for an image that is here. */
export async function tag(job: Job, source: StoreEnd, destination: StoreEnd): Promise<readonly ImageInfo[]> {
	const {target, labels} = await job.scope.images.get(source.name);
	return [await saveImage(job, {name: destination.name, target, labels: {...labels, ...destination.labels}})];
}
