import {descriptorMessage, descriptorOf} from '../../api/convert/descriptor.ts';
import {dateOf} from '../../api/convert/timestamp.ts';
import {DiffDefinition} from '../../api/gen/services/diff/v1/diff.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import type {Differ} from '../../contracts/diff/diff.ts';
import {grpcService, namespaceOf, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {storeLayer} from './store-layer.ts';

export interface DiffParts {
	/** Asked in this order; the next where one does not know the media type. */
	readonly differs: readonly Differ[];
	/** Each layer is on disk before Apply answers, asked for or not. */
	readonly syncFs: boolean;
	/** The content that a call may see. */
	readonly contentFor: (context: CallContext) => ContentStore;
}

export function diffService({differs, syncFs: always, contentFor}: DiffParts): GrpcService {
	return grpcService(DiffDefinition, {
		async apply({diff, mounts, payloads, syncFs}, context) {
			const {signal} = context;
			const descriptor = descriptorOf(diff, 'diff');
			await using blob = await contentFor(context).open(descriptor.digest);
			const layer = {
				descriptor,
				...(blob.file === undefined ? {} : {file: blob.file}),
				read: (inner = signal) => blob.read({signal: inner}),
			};
			const {mediaType, digest, size} = await firstOf(differs, async differ =>
				differ.apply(layer, mounts, {payloads: new Map(Object.entries(payloads)), syncFs: syncFs || always, signal, namespace: namespaceOf(context)}));
			return {applied: descriptorMessage({mediaType, digest, size})};
		},
		async diff({left, right, mediaType, ref, labels, sourceDateEpoch}, context) {
			const {signal} = context;
			const epoch = dateOf(sourceDateEpoch);
			const make = async () => firstOf(differs, async differ => differ.compare(left, right, {
				signal, namespace: namespaceOf(context), ...(mediaType === '' ? {} : {mediaType}), ...(epoch === undefined ? {} : {sourceDateEpoch: epoch}),
			}));
			return {diff: descriptorMessage(await storeLayer(contentFor(context), make, {ref, labels, signal}))};
		},
	});
}

async function firstOf<T>(differs: readonly Differ[], ask: (differ: Differ) => Promise<T>): Promise<T> {
	let refusal: unknown = new KeelsonError('UNIMPLEMENTED', 'no differ is loaded');
	for (const differ of differs) {
		try {
			return await ask(differ);
		} catch (error) {
			if (!isKeelsonError(error, 'UNIMPLEMENTED')) {
				throw error;
			}
			refusal = error;
		}
	}
	throw refusal;
}
