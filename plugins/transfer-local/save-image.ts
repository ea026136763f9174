import type {ImageInfo, ImageRecord} from '../../contracts/metadata/metadata.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import type {Job} from './job.ts';

/** Gives an image its name, new or moved. */
export async function saveImage(job: Job, image: ImageRecord): Promise<ImageInfo> {
	const {images} = job.scope;
	for (;;) {
		try {
			return await images.create(image);
		} catch (error) {
			if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
				throw error;
			}
		}
		try {
			const fields = ['target', ...Object.keys(image.labels).map(name => `labels.${name}`)];
			return await images.update(image, fields);
		} catch (error) {
			// Removed in between: it is created after all.
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
		}
	}
}
