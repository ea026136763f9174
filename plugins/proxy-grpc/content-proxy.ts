import {ContentDefinition} from '../../api/gen/services/content/v1/content.ts';
import type {ContentInfo, ContentReader, ContentStore, ContentWriter, IngestStatus, ReadRange, WriterOptions} from '../../contracts/content/content.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {Connection} from './connection.ts';
import {contentInfo, ingestStatus} from './content-messages.ts';
import {RemoteWriter} from './remote-writer.ts';
import {withRoot} from './root-label.ts';

const {fullName: SERVICE, methods} = ContentDefinition;

/** Content that another process keeps. Owns the connection. */
export class ContentProxy implements ContentStore, AsyncDisposable {
	readonly #connection: Connection;

	constructor(connection: Connection) {
		this.#connection = connection;
	}

	async info(digest: Digest): Promise<ContentInfo> {
		const {info} = await this.#connection.unary(SERVICE, methods.info, {digest});
		return contentInfo(info);
	}

	async update(digest: Digest, labels: Labels, fields: readonly string[]): Promise<ContentInfo> {
		const wanted = {digest, size: 0n, createdAt: undefined, updatedAt: undefined, labels: withRoot(labels)};
		const {info} = await this.#connection.unary(SERVICE, methods.update, {info: wanted, updateMask: fields});
		return contentInfo(info);
	}

	async *list(filters: readonly string[] = [], signal?: AbortSignal): AsyncGenerator<ContentInfo, void, undefined> {
		for await (const {info} of this.#connection.stream(SERVICE, methods.list, {filters}, signal)) {
			yield* info.map(contentInfo);
		}
	}

	async delete(digest: Digest): Promise<void> {
		await this.#connection.unary(SERVICE, methods.delete, {digest});
	}

	/** The wire knows no open blobs: one that is deleted meanwhile cannot be read any more, unless the peer keeps it. */
	async open(digest: Digest): Promise<ContentReader> {
		const {size} = await this.info(digest);
		return {
			digest, size,
			read: range => this.#read(digest, size, range),
			async [Symbol.asyncDispose]() {},
		};
	}

	async writer(options: WriterOptions): Promise<ContentWriter> {
		return RemoteWriter.open(this.#connection, options);
	}

	async status(ref: string): Promise<IngestStatus> {
		const {status} = await this.#connection.unary(SERVICE, methods.status, {ref});
		return ingestStatus(status);
	}

	async statuses(filters: readonly string[] = []): Promise<readonly IngestStatus[]> {
		const {statuses} = await this.#connection.unary(SERVICE, methods.listStatuses, {filters});
		return statuses.map(ingestStatus);
	}

	async abort(ref: string): Promise<void> {
		await this.#connection.unary(SERVICE, methods.abort, {ref});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#connection[Symbol.dispose]();
	}

	async *#read(digest: Digest, whole: number, {offset = 0, size = whole, signal}: ReadRange = {}): AsyncGenerator<Uint8Array, void, undefined> {
		// On the wire a size of 0 means to the end.
		if (size === 0 && offset <= whole) {
			return;
		}
		const request = {digest, offset: BigInt(offset), size: BigInt(size)};
		for await (const {data} of this.#connection.stream(SERVICE, methods.read, request, signal)) {
			yield data;
		}
	}
}
