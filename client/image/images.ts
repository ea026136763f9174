import {descriptorOf} from '../../api/convert/descriptor.ts';
import {dateOf} from '../../api/convert/timestamp.ts';
import type {Image as ImageMessage} from '../../api/gen/services/images/v1/images.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {hostPlatform, parsePlatform} from '../../contracts/oci/platform.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import {readDocument} from '../read-blob.ts';
import type {Services} from '../services.ts';
import {exportArchive, importArchive, type ExportOptions, type ImportOptions} from './archive.ts';
import {parseImageConfig, type ImageConfig} from './image-config.ts';
import {findManifest, type Manifest} from './manifest.ts';
import type {TransferProgress} from './progress-stream.ts';
import {pull, type PullOptions} from './pull.ts';
import {told} from './pulling.ts';

/** A name in the image store, and what it stands for. */
export interface Image {
	readonly name: string;
	readonly target: Descriptor;
	readonly labels: Readonly<Record<string, string>>;
	readonly createdAt: Date | undefined;
	readonly updatedAt: Date | undefined;
}

/** What an image is made of for one platform. */
export interface ImageParts {
	readonly manifest: Manifest;
	readonly config: ImageConfig;
	/** Bytes of the config and the layers as they were fetched. */
	readonly size: number;
}

export interface ImageOptions extends CallOptions {
	/** `os/architecture/variant`; default: this machine's. */
	readonly platform?: string;
}

/** The images of a namespace. */
export class Images {
	readonly #services: Services;

	constructor(services: Services) {
		this.#services = services;
	}

	/**
	 * Fetches an image and unpacks it; resolves with it. Needs a daemon with the Transfer service: keelson, or containerd since 1.7.
	 * Rejects with INVALID_ARGUMENT for a reference that does not parse, NOT_FOUND for what the registry does not have.
	 */
	async pull(reference: string, options: PullOptions = {}): Promise<Image> {
		await pull(this.#services, reference, options);
		return this.get(reference, options);
	}

	/** The same as an iteration that tells how it goes, and returns the image. Leaving it ends the pull. */
	pulling(reference: string, options: Omit<PullOptions, 'onProgress'> = {}): AsyncGenerator<TransferProgress, Image, undefined> {
		return told(async (onProgress, own) => this.pull(reference, {...options, onProgress, signal: options.signal === undefined ? own : AbortSignal.any([own, options.signal])}));
	}

	/**
	 * Takes the images of an archive (OCI layout or docker-archive; plain, gzip or zstd) and unpacks them; resolves with their names. Needs a daemon with the
	 * Transfer service.
	 */
	async import(bytes: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<readonly string[]> {
		return importArchive(this.#services, bytes, options);
	}

	/** Hands on an archive of these images, chunk by chunk. Rejects with NOT_FOUND. Needs a daemon with the Transfer service. */
	async export(names: readonly string[], write: (chunk: Uint8Array) => Promise<void>, options: ExportOptions = {}): Promise<void> {
		await exportArchive(this.#services, names, write, options);
	}

	/** Rejects with NOT_FOUND. */
	async get(name: string, options: CallOptions = {}): Promise<Image> {
		const {image} = await this.#services.images.get({name}, options);
		if (image === undefined) {
			throw new KeelsonError('INTERNAL', `the daemon answered without the image ${name}`);
		}
		return imageOf(image);
	}

	/** Those that match any of the filters (`name==...`, `labels."a.b"==...`); all without one. */
	async list(options: CallOptions & {readonly filters?: readonly string[]} = {}): Promise<Image[]> {
		const {filters = [], ...call} = options;
		const {images} = await this.#services.images.list({filters}, call);
		return images.map(imageOf);
	}

	/** The manifest and config for a platform. Rejects with NOT_FOUND when the image, or its content for that platform, is not there. */
	async inspect(image: string | Image, options: ImageOptions = {}): Promise<ImageParts> {
		const {platform, ...call} = options;
		const {name, target} = typeof image === 'string' ? await this.get(image, call) : image;
		const manifest = await findManifest(this.#services, target, platform === undefined ? hostPlatform() : parsePlatform(platform), call);
		const config = parseImageConfig(await readDocument(this.#services, manifest.config.digest, call), `config of ${name}`);
		return {manifest, config, size: [manifest.config, ...manifest.layers].reduce((sum, {size}) => sum + size, 0)};
	}

	/** Forgets the name; with `sync`, resolves when what nothing else needs is gone too. Rejects with NOT_FOUND. */
	async remove(name: string, options: CallOptions & {readonly sync?: boolean; readonly target?: Digest} = {}): Promise<void> {
		const {sync = false, target, ...call} = options;
		await this.#services.images.delete({name, sync, ...(target === undefined ? {} : {target: {digest: target}})}, call);
	}
}

function imageOf({name, target, labels, createdAt, updatedAt}: ImageMessage): Image {
	return {name, target: descriptorOf(target, `target of image ${name}`), labels, createdAt: dateOf(createdAt), updatedAt: dateOf(updatedAt)};
}
