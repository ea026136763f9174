import {descriptorMessage, descriptorOf} from '../../api/convert/descriptor.ts';
import {timestampOf} from '../../api/convert/timestamp.ts';
import {DiffDefinition} from '../../api/gen/services/diff/v1/diff.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import type {AppliedLayer, ApplyOptions, ComparedLayer, CompareOptions, Differ, LayerBytes} from '../../contracts/diff/diff.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import type {Connection} from './connection.ts';

/** What of a content store the two sides share. */
export type SharedContent = Pick<ContentStore, 'open' | 'info' | 'writer'>;

const {fullName: SERVICE, methods} = DiffDefinition;
const UNCOMPRESSED = 'containerd.io/uncompressed';

/**
 * A differ of another process. Layers do not go over its connection: both sides see one content store, and only descriptors are told. So a layer that
 * is not content yet becomes it before it is applied. Owns the connection.
 */
export class DiffProxy implements Differ, AsyncDisposable {
	readonly #connection: Connection;
	readonly #content: SharedContent;

	/** `content` is what the peer reads layers from, and writes them to. */
	constructor(connection: Connection, content: SharedContent) {
		this.#connection = connection;
		this.#content = content;
	}

	async apply(layer: LayerBytes, mounts: readonly Mount[], {payloads, syncFs = false, signal, namespace, progress}: ApplyOptions = {}): Promise<AppliedLayer> {
		await this.#share(layer, signal);
		const {applied} = await this.#connection.unary(SERVICE, methods.apply, {
			diff: descriptorMessage(layer.descriptor), mounts, payloads: Object.fromEntries(payloads ?? []), syncFs,
		}, signal, namespace);
		const {mediaType, digest, size} = descriptorOf(applied, 'applied layer');
		// The wire tells nothing before the end.
		progress?.(size);
		return {mediaType, digest, size};
	}

	async compare(lower: readonly Mount[], upper: readonly Mount[], {mediaType = '', sourceDateEpoch, signal, namespace}: CompareOptions = {}): Promise<ComparedLayer> {
		const {diff} = await this.#connection.unary(SERVICE, methods.diff, {
			left: lower, right: upper, mediaType, sourceDateEpoch: sourceDateEpoch === undefined ? undefined : timestampOf(sourceDateEpoch),
		}, signal, namespace);
		const descriptor = descriptorOf(diff, 'compared layer');
		const diffId = Promise.withResolvers<Digest>();
		// Nobody has to ask for it.
		diffId.promise.catch(() => {});
		return {mediaType: descriptor.mediaType, bytes: this.#bytes(descriptor, diffId, signal), diffId: diffId.promise};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#connection[Symbol.dispose]();
	}

	async #share({descriptor: {digest, size}, read}: LayerBytes, signal: AbortSignal | undefined): Promise<void> {
		try {
			await using writer = await this.#content.writer({ref: `layer-${digest}`, expected: digest, total: size, ...(signal === undefined ? {} : {signal})});
			if (writer.status().offset > 0) {
				await writer.truncate(0);
			}
			for await (const chunk of read(signal)) {
				await writer.write(chunk);
			}
			await writer.commit({expected: digest, size});
		} catch (error) {
			if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
				throw error;
			}
		}
	}

	async #diffId({mediaType, digest}: Descriptor): Promise<Digest> {
		if (mediaType === mediaTypes.ociLayer || mediaType === mediaTypes.dockerLayer) {
			return digest;
		}
		const label = (await this.#content.info(digest)).labels[UNCOMPRESSED];
		if (label === undefined) {
			throw new KeelsonError('INTERNAL', `the peer has not labelled layer ${digest} with ${UNCOMPRESSED}`);
		}
		return parseDigest(label);
	}

	#bytes(descriptor: Descriptor, diffId: PromiseWithResolvers<Digest>, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
		const bytes = this.#read(descriptor, diffId, signal);
		return {
			[Symbol.asyncIterator]: () => ({
				next: () => bytes.next(),
				// Of a generator that has not begun, return runs nothing.
				async return() {
					diffId.reject(new KeelsonError('CANCELLED', `layer ${descriptor.digest} was not read to its end`));
					return bytes.return();
				},
			}),
		};
	}

	async *#read(descriptor: Descriptor, diffId: PromiseWithResolvers<Digest>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
		try {
			await using blob = await this.#content.open(descriptor.digest);
			for await (const chunk of blob.read(signal === undefined ? {} : {signal})) {
				signal?.throwIfAborted();
				yield chunk;
			}
			diffId.resolve(await this.#diffId(descriptor));
		} catch (error) {
			diffId.reject(error);
			throw error;
		}
	}
}
