import {setTimeout as sleep} from 'node:timers/promises';
import {platformMessage} from '../../api/convert/platform.ts';
import {ImageStore} from '../../api/gen/types/transfer/imagestore.ts';
import {ImageExportStream, ImageImportStream} from '../../api/gen/types/transfer/importexport.ts';
import {hostPlatform, parsePlatform} from '../../contracts/oci/platform.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';
import {receiveStream, sendStream} from './byte-streams.ts';
import {ProgressStream, type TransferProgress} from './progress-stream.ts';

/** Two blocks of tar. */
const TAIL_BYTES = 1024;
/** What was sent before the answer to the transfer comes at most so much later than what comes before it. */
const QUIET_MS = 200;

type Transferring = Pick<Services, 'transfer' | 'streaming'>;

export interface ImportOptions extends CallOptions {
	readonly onProgress?: (progress: TransferProgress) => void;
	/** What images are called whose archive has but a tag for them: `name:tag`. Default: `import-` and the date, as `ctr` has it. */
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
	const {onProgress, name = `import-${new Date().toISOString().slice(0, 10)}`, platforms = [], snapshotter = '', unpack = true, labels = {}, ...call} = options;
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
	const tail = new ArchiveTail();
	await using stream = await receiveStream(services, async chunk => tail.pass(chunk, write), call);
	const source = ImageStore.encode(ImageStore.fromPartial({name: first, extraReferences: others.map(name => ({name}))})).finish();
	const destination = ImageExportStream.encode({
		stream: stream.id, mediaType: '', platforms: platforms.map(one => platformMessage(parsePlatform(one))), allPlatforms,
		skipCompatibilityManifest: withoutDockerManifest, skipNonDistributable: withoutForeignLayers,
	}).finish();
	const transfer = services.transfer.transfer({
		source: {typeUrl: 'containerd.types.transfer.ImageStore', value: source},
		destination: {typeUrl: 'containerd.types.transfer.ImageExportStream', value: destination},
	}, call).catch(async (error: unknown) => {
		await stream[Symbol.asyncDispose]();
		throw error;
	});
	const [received, transferred] = await Promise.allSettled([Promise.race([stream.done, transfer.then(async () => tail.quiet(stream.done))]), transfer]);
	const failure = stream.own() ?? (transferred.status === 'rejected' ? transferred.reason : received.status === 'rejected' ? received.reason : undefined);
	if (failure !== undefined) {
		throw failure;
	}
}

/** How an archive ends: tar's last two blocks are empty. */
class ArchiveTail {
	#zeros = 0;
	/** Counts beginnings and ends: odd while a chunk is being written. */
	#turns = 0;

	async pass(chunk: Uint8Array, write: (chunk: Uint8Array) => Promise<void>): Promise<void> {
		this.#turns++;
		const last = chunk.findLastIndex(byte => byte !== 0);
		this.#zeros = last === -1 ? this.#zeros + chunk.length : chunk.length - 1 - last;
		await write(chunk);
		this.#turns++;
	}

	/**
	 * Resolves when the archive has ended and nothing more comes, or `done` has settled. containerd 2.1 leaves its stream open when it has sent all; empty blocks
	 * alone may be those of a layer in the archive.
	 */
	async quiet(done: Promise<void>): Promise<void> {
		const settled = done.then(() => true, () => true);
		for (let [before, isDone] = [-1, false]; !isDone && (before !== this.#turns || before % 2 !== 0 || this.#zeros < TAIL_BYTES);) {
			before = this.#turns;
			isDone = await Promise.race([settled, sleep(QUIET_MS, false, {ref: false})]);
		}
	}
}
