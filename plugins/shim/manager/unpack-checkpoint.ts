import {mkdir} from 'node:fs/promises';
import type {ContentProvider} from '../../../contracts/content/content.ts';
import type {Differ} from '../../../contracts/diff/diff.ts';
import type {Descriptor} from '../../../contracts/oci/descriptor.ts';
import {mediaTypes} from '../../../contracts/oci/media-type.ts';
import {KeelsonError} from '../../../kernel/errors.ts';

const checkpointType = 'application/vnd.containerd.container.criu.checkpoint.criu.tar';

export interface UnpackCheckpoint {
	readonly content: ContentProvider;
	/** Undefined where none is loaded. */
	readonly differ: Differ | undefined;
	/** Made here; the caller's to remove. */
	readonly directory: string;
	readonly namespace: string;
	readonly signal: AbortSignal;
}

/**
 * Unpacks an image of CRIU's, which is a tar in content, into a directory that nobody else uses: no entry of it leads out. Rejects with
 * INVALID_ARGUMENT (another media type, not a tar), NOT_FOUND (no such content), UNIMPLEMENTED (no differ).
 */
export async function unpackCheckpoint(checkpoint: Descriptor, {content, differ, directory, namespace, signal}: UnpackCheckpoint): Promise<void> {
	if (checkpoint.mediaType !== checkpointType) {
		throw new KeelsonError('INVALID_ARGUMENT', `unsupported checkpoint type ${JSON.stringify(checkpoint.mediaType)}, expected ${checkpointType}`);
	}
	if (differ === undefined) {
		throw new KeelsonError('UNIMPLEMENTED', 'a checkpoint is unpacked by a differ, and none is loaded');
	}
	await using reader = await content.open(checkpoint.digest);
	await mkdir(directory, {mode: 0o700});
	await differ.apply({
		descriptor: {...checkpoint, mediaType: mediaTypes.ociLayer},
		...(reader.file === undefined ? {} : {file: reader.file}),
		read: stop => reader.read(stop === undefined ? {} : {signal: stop}),
	}, [{type: 'bind', source: directory, target: '', options: ['rbind', 'rw']}], {namespace, signal});
}
