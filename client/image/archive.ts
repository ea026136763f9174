import {platformMessage} from '../../api/convert/platform.ts';
import {ImageStore} from '../../api/gen/types/transfer/imagestore.ts';
import {ImageExportStream, ImageImportStream} from '../../api/gen/types/transfer/importexport.ts';
import {hostPlatform, parsePlatform} from '../../contracts/oci/platform.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';
import {receiveStream, sendStream} from './byte-streams.ts';
import {ProgressStream, type TransferProgress} from './progress-stream.ts';

type Transferring = Pick<Services, 'transfer' | 'streaming'>;

export interface ImportOptions extends CallOptions {
	readonly onProgress?: (progress: TransferProgress) => void;
	/** What images are called whose archive has but a tag for them: `name:tag`. */
	readonly name?: string;
	/** Default: every platform. What is unpacked is this machine's, or that of the first. */
	readonly platforms?: readonly string[];
	/** Where to unpack; default: the daemon's choice. */
	readonly snapshotter?: string;
	/** False only stores the content. */
	readonly unpack?: boolean;
	readonly labels?: Readonly<Record<string, string>>;
}

export interface ExportOptions extends CallOptions {
	/** Default: this machine's. */
	readonly platforms?: readonly string[];
	readonly allPlatforms?: boolean;
	/** Leaves out the manifest.json by which `docker load` of older releases reads an archive. */
	readonly withoutDockerManifest?: boolean;
	/** Leaves out layers that may not be distributed. */
	readonly withoutForeignLayers?: boolean;
}

/** Sends an archive (OCI layout or docker-archive; plain, gzip or zstd). Resolves with the names of its images once they are there. */
export async function importArchive(services: Transferring, bytes: AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<readonly string[]> {
	const {onProgress, name = '', platforms = [], snapshotter = '', unpack = true, labels = {}, ...call} = options;
	const wanted = platforms.map(one => platformMessage(parsePlatform(one)));
	const names = new Set<string>();
	{
		await using progress = await ProgressStream.open(services, told => {
			if (told.event === 'saved') {
				names.add(told.name);
			}
			onProgress?.(told);
		}, call);
		await using stream = await sendStream(services, bytes, call);
		const source = ImageImportStream.encode({stream: stream.id, mediaType: '', forceCompress: false}).finish();
		const destination = ImageStore.encode(ImageStore.fromPartial({
			labels: {...labels}, platforms: wanted, unpacks: unpack ? [{platform: wanted[0] ?? platformMessage(hostPlatform()), snapshotter}] : [],
			extraReferences: [{name, isPrefix: true, allowOverwrite: true, addDigest: false, skipNamedDigest: false}],
		})).finish();
		const transfer = async (): Promise<void> => {
			try {
				await services.transfer.transfer({
					source: {typeUrl: 'containerd.types.transfer.ImageImportStream', value: source},
					destination: {typeUrl: 'containerd.types.transfer.ImageStore', value: destination},
					options: {progressStream: progress.id},
				}, call);
			} finally {
				await stream[Symbol.asyncDispose]();
			}
		};
		const [transferred] = await Promise.allSettled([transfer(), stream.done]);
		// What failed here says more than the transfer that lacked its bytes.
		const failure = stream.own() ?? (transferred.status === 'rejected' ? transferred.reason : undefined);
		if (failure !== undefined) {
			throw failure;
		}
	}
	return [...names];
}

/** Hands on an archive of these images: an OCI layout that is a docker-archive too. Rejects with NOT_FOUND, and with what `write` throws. */
export async function exportArchive(services: Transferring, names: readonly string[], write: (chunk: Uint8Array) => Promise<void>, options: ExportOptions = {}): Promise<void> {
	const {platforms = [], allPlatforms = false, withoutDockerManifest = false, withoutForeignLayers = false, ...call} = options;
	const [first = '', ...others] = names;
	await using stream = await receiveStream(services, write, call);
	const source = ImageStore.encode(ImageStore.fromPartial({name: first, extraReferences: others.map(name => ({name}))})).finish();
	const destination = ImageExportStream.encode({
		stream: stream.id, mediaType: '', platforms: platforms.map(one => platformMessage(parsePlatform(one))), allPlatforms,
		skipCompatibilityManifest: withoutDockerManifest, skipNonDistributable: withoutForeignLayers,
	}).finish();
	const [received, transferred] = await Promise.allSettled([stream.done, services.transfer.transfer({
		source: {typeUrl: 'containerd.types.transfer.ImageStore', value: source},
		destination: {typeUrl: 'containerd.types.transfer.ImageExportStream', value: destination},
	}, call).catch(async (error: unknown) => {
		await stream[Symbol.asyncDispose]();
		throw error;
	})]);
	const failure = stream.own() ?? (transferred.status === 'rejected' ? transferred.reason : received.status === 'rejected' ? received.reason : undefined);
	if (failure !== undefined) {
		throw failure;
	}
}
