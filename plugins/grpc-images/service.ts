import {descriptorMessage, descriptorOf} from '../../api/convert/descriptor.ts';
import {dateOf, timestampOf} from '../../api/convert/timestamp.ts';
import {ImagesDefinition, type Image} from '../../api/gen/services/images/v1/images.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {ImageChange, ImageInfo, ImageRecord, ImageStore} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** `imagesFor` answers the images that a call is about. */
export function imagesService(imagesFor: (context: CallContext) => ImageStore): GrpcService {
	return grpcService(ImagesDefinition, {
		get: async ({name}, context) => ({image: messageOf(await imagesFor(context).get(name))}),
		list: async ({filters}, context) => ({images: (await imagesFor(context).list(filters)).map(messageOf)}),
		async create({image, sourceDateEpoch}, context) {
			const createdAt = dateOf(sourceDateEpoch);
			return {image: messageOf(await imagesFor(context).create(recordOf(image), createdAt === undefined ? {} : {createdAt}))};
		},
		async update({image, updateMask, sourceDateEpoch}, context) {
			const updatedAt = dateOf(sourceDateEpoch);
			return {image: messageOf(await imagesFor(context).update(changeOf(image), updateMask ?? [], updatedAt === undefined ? {} : {updatedAt}))};
		},
		async delete({name, sync, target}, context) {
			await imagesFor(context).delete(name, {sync, ...(target === undefined ? {} : {target: descriptorOf(target, 'target')})});
			return {};
		},
	});
}

function messageOf({name, labels, target, createdAt, updatedAt}: ImageInfo): Image {
	return {name, labels: {...labels}, target: descriptorMessage(target), createdAt: timestampOf(createdAt), updatedAt: timestampOf(updatedAt)};
}

// A client that changes labels sends no target at all.
function changeOf(image: Image | undefined): ImageChange {
	return image === undefined || (image.target?.digest ?? '') !== '' ? recordOf(image) : {name: image.name, labels: image.labels};
}

function recordOf(image: Image | undefined): ImageRecord {
	if (image === undefined || image.name === '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'a request about an image does not name it');
	}
	return {name: image.name, labels: image.labels, target: descriptorOf(image.target, `target of image ${JSON.stringify(image.name.slice(0, 300))}`)};
}
