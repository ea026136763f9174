import {descriptorMessage, descriptorOf} from '../../api/convert/descriptor.ts';
import {timestampOf} from '../../api/convert/timestamp.ts';
import {DiffDefinition} from '../../api/gen/services/diff/v1/diff.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import type {AppliedLayer, ApplyOptions, ComparedLayer, CompareOptions, Differ, LayerBytes} from '../../contracts/diff/diff.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Connection} from './connection.ts';

const {fullName: SERVICE, methods} = DiffDefinition;
const UNCOMPRESSED = 'containerd.io/uncompressed';

/**
 * A differ of another process. Layers do not go over its connection: both sides see one content store, and only descriptors are told. So a layer must be
 * content before it is applied. Owns the connection.
 */
export class DiffProxy implements Differ, AsyncDisposable {
	readonly #connection: Connection;
	readonly #content: Pick<ContentStore, 'open' | 'info'>;

	/** `content` is what the peer writes its layers to. */
	constructor(connection: Connection, content: Pick<ContentStore, 'open' | 'info'>) {
		this.#connection = connection;
		this.#content = content;
	}

	async apply({descriptor}: LayerBytes, mounts: readonly Mount[], {payloads, syncFs = false, signal}: ApplyOptions = {}): Promise<AppliedLayer> {
		const {applied} = await this.#connection.unary(SERVICE, methods.apply, {
			diff: descriptorMessage(descriptor), mounts, payloads: Object.fromEntries(payloads ?? []), syncFs,
		}, signal);
		const {mediaType, digest, size} = descriptorOf(applied, 'applied layer');
		return {mediaType, digest, size};
	}

	async compare(lower: readonly Mount[], upper: readonly Mount[], {mediaType = '', sourceDateEpoch, signal}: CompareOptions = {}): Promise<ComparedLayer> {
		const {diff} = await this.#connection.unary(SERVICE, methods.diff, {
			left: lower, right: upper, mediaType, sourceDateEpoch: sourceDateEpoch === undefined ? undefined : timestampOf(sourceDateEpoch),
		}, signal);
		const descriptor = descriptorOf(diff, 'compared layer');
		const diffId = this.#diffId(descriptor);
		diffId.catch(() => {});
		return {mediaType: descriptor.mediaType, bytes: this.#read(descriptor.digest, signal), diffId};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#connection[Symbol.dispose]();
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

	async *#read(digest: Digest, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
		await using blob = await this.#content.open(digest);
		yield* blob.read(signal === undefined ? {} : {signal});
	}
}
