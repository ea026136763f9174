import {once} from 'node:events';
import {PassThrough, type Readable} from 'node:stream';
import type {PushWriter} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {KeelsonError} from '../../kernel/errors.ts';

const MANIFEST_BYTES_MAX = 8 * 1024 * 1024;

/** A manifest is small: it is kept whole, and sent at commit. */
export class ManifestWriter implements PushWriter {
	readonly #descriptor: Descriptor;
	readonly #send: (body: Uint8Array) => Promise<void>;
	#chunks: Uint8Array[] = [];
	#size = 0;

	constructor(descriptor: Descriptor, send: (body: Uint8Array) => Promise<void>) {
		this.#descriptor = descriptor;
		this.#send = send;
	}

	async write(chunk: Uint8Array): Promise<void> {
		this.#size += chunk.length;
		if (this.#size > MANIFEST_BYTES_MAX) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `manifest ${this.#descriptor.digest} has more than ${MANIFEST_BYTES_MAX} bytes`);
		}
		this.#chunks.push(chunk);
	}

	async commit(): Promise<void> {
		await this.#send(Buffer.concat(this.#chunks));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#chunks = [];
	}
}

/** A blob goes out as it is written, no faster than the registry takes it. */
export class BlobWriter implements PushWriter {
	readonly #descriptor: Descriptor;
	readonly #body = new PassThrough({highWaterMark: 1024 * 1024});
	readonly #sent: Promise<void>;
	#failure: unknown;
	#hasAnswer = false;
	#size = 0;

	constructor(descriptor: Descriptor, send: (body: Readable) => Promise<void>) {
		this.#descriptor = descriptor;
		this.#body.on('error', () => undefined);
		this.#sent = send(this.#body).then(() => {
			// A registry may answer before it has read all; nobody takes the rest.
			this.#hasAnswer = true;
		}, (error: unknown) => {
			this.#failure = error;
			this.#body.destroy();
			throw error;
		});
		this.#sent.catch(() => undefined);
	}

	async write(chunk: Uint8Array): Promise<void> {
		if (this.#failure !== undefined) {
			throw KeelsonError.from(this.#failure);
		}
		this.#size += chunk.length;
		if (!this.#hasAnswer && !this.#body.write(chunk)) {
			await Promise.race([once(this.#body, 'drain'), this.#sent]);
		}
	}

	async commit(): Promise<void> {
		if (this.#size !== this.#descriptor.size) {
			this.#body.destroy(new Error('cut short'));
			throw new KeelsonError('INVALID_ARGUMENT', `blob ${this.#descriptor.digest} was given ${this.#size} bytes, expected ${this.#descriptor.size}`);
		}
		this.#body.end();
		await this.#sent;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (!this.#body.writableEnded) {
			this.#body.destroy(new Error('let go'));
		}
		await this.#sent.catch(() => undefined);
	}
}
