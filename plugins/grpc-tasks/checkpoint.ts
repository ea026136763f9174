import {createHash} from 'node:crypto';
import {mkdtemp, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {Any as AnyMessage} from '../../api/gen/google/protobuf/any.ts';
import {CheckpointOptions} from '../../api/gen/types/runc/options/oci.ts';
import type {ContentIngester, ContentStore} from '../../contracts/content/content.ts';
import type {Differ} from '../../contracts/diff/diff.ts';
import {namespaceOf, type CallContext} from '../../contracts/grpc/grpc.ts';
import type {Scope} from '../../contracts/metadata/metadata.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {Tasks} from '../../contracts/task/task.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';

const CHECKPOINT = 'application/vnd.containerd.container.criu.checkpoint.criu.tar';
const CONFIG = 'application/vnd.containerd.container.checkpoint.config.v1+proto';

export interface CheckpointParts {
	readonly tasksFor: (context: CallContext) => Tasks;
	readonly scopeFor: (context: CallContext) => Pick<Scope, 'content' | 'containers'>;
	/** Makes a tar of a directory; undefined where no differ is loaded. */
	readonly differ: Differ | undefined;
	/** Where checkpoints lie until they are content. */
	readonly directory: string;
}

/**
 * Checkpoints a task: to the path that the options name, answering nothing; or else to content, answering two descriptors, of CRIU's files as
 * a tar and of the container's spec as a marshalled Any.
 */
export function checkpointer({tasksFor, scopeFor, differ, directory}: CheckpointParts) {
	return async (containerId: string, options: Any | undefined, context: CallContext): Promise<readonly Descriptor[]> => {
		const {signal} = context;
		const path = imagePath(options);
		if (path !== '') {
			await tasksFor(context).checkpoint(containerId, path, options, signal);
			return [];
		}
		if (differ === undefined) {
			throw new KeelsonError('UNIMPLEMENTED', 'a checkpoint becomes content through a differ, and none is loaded');
		}
		const {content, containers} = scopeFor(context);
		const {spec} = await containers.get(containerId);
		const image = await mkdtemp(join(directory, 'checkpoint-'));
		try {
			await tasksFor(context).checkpoint(containerId, image, options, signal);
			const mounts = [{type: 'bind', source: image, target: '', options: ['rbind', 'ro']}];
			const config = AnyMessage.encode(spec ?? {typeUrl: '', value: new Uint8Array()}).finish();
			return [
				await store(content, {mediaType: CHECKPOINT, ref: image, signal, make: async () => {
					const {bytes, diffId} = await differ.compare([], mounts, {mediaType: mediaTypes.ociLayer, signal, namespace: namespaceOf(context)});
					// A failure is told by the bytes as well, which are read first.
					diffId.catch(() => {});
					return {bytes, digest: diffId};
				}}),
				await store(content, {mediaType: CONFIG, ref: `${image}/spec`, signal, make: async () => ({bytes: once(config), digest: digestOf(config)})}),
			];
		} finally {
			await rm(image, {recursive: true, force: true});
		}
	};
}

/** Where the client wants it; empty: in content. */
function imagePath(options: Any | undefined): string {
	if (options === undefined || options.typeUrl !== 'containerd.runc.v1.CheckpointOptions') {
		return '';
	}
	try {
		return CheckpointOptions.decode(options.value).imagePath;
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `checkpoint options of ${options.value.byteLength} bytes are no ${options.typeUrl}`, {cause: error});
	}
}

interface Source {
	readonly mediaType: string;
	readonly ref: string;
	readonly signal: AbortSignal;
	/** Bytes, and what they have been once they are read. */
	readonly make: () => Promise<{readonly bytes: AsyncIterable<Uint8Array>; readonly digest: Promise<Digest>}>;
}

/** Resolves as well when the blob was there already: a spec is the same at each checkpoint. */
async function store(content: ContentIngester & Pick<ContentStore, 'abort'>, {mediaType, ref, make, signal}: Source): Promise<Descriptor> {
	try {
		await using writer = await content.writer({ref, signal});
		const {bytes, digest} = await make();
		for await (const chunk of bytes) {
			await writer.write(chunk);
		}
		const size = writer.status().offset;
		const expected = await digest;
		try {
			await writer.commit({expected});
		} catch (error) {
			if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
				throw error;
			}
		}
		return {mediaType, digest: expected, size};
	} catch (error) {
		// Nobody else knows the ref, so nobody would go on with it.
		await content.abort(ref).catch(() => {});
		throw error;
	}
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
	yield bytes;
}

async function digestOf(bytes: Uint8Array): Promise<Digest> {
	return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
}
