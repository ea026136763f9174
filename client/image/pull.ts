import {ImageStore} from '../../api/gen/types/transfer/imagestore.ts';
import {OCIRegistry} from '../../api/gen/types/transfer/registry.ts';
import {platformMessage} from '../../api/convert/platform.ts';
import {hostPlatform, parsePlatform} from '../../contracts/oci/platform.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';
import {ProgressStream, type TransferProgress} from './progress-stream.ts';

export interface PullOptions extends CallOptions {
	/** Called as the daemon tells of it, in its order. */
	readonly onProgress?: (progress: TransferProgress) => void;
	/** Speak http to the registry. */
	readonly plainHttp?: boolean;
	/** `os/architecture/variant`; default: this machine's. */
	readonly platform?: string;
	/** Where to unpack; default: the daemon's choice. */
	readonly snapshotter?: string;
	/** False only stores the content. */
	readonly unpack?: boolean;
	/** Labels of the image. */
	readonly labels?: Readonly<Record<string, string>>;
}

/** Asks the daemon to fetch and unpack. Resolves when the image is there; rejects with what the transfer was rejected with. */
export async function pull(services: Pick<Services, 'transfer' | 'streaming'>, reference: string, options: PullOptions = {}): Promise<void> {
	const {onProgress, plainHttp = false, platform, snapshotter = '', unpack = true, labels = {}, ...call} = options;
	const wanted = platformMessage(platform === undefined ? hostPlatform() : parsePlatform(platform));
	const source = OCIRegistry.fromPartial({reference, resolver: {defaultScheme: plainHttp ? 'http' : ''}});
	const destination = ImageStore.fromPartial({name: reference, labels: {...labels}, platforms: [wanted], unpacks: unpack ? [{platform: wanted, snapshotter}] : []});
	await using progress = onProgress === undefined ? undefined : await ProgressStream.open(services, onProgress, call);
	await services.transfer.transfer({
		source: {typeUrl: 'containerd.types.transfer.OCIRegistry', value: OCIRegistry.encode(source).finish()},
		destination: {typeUrl: 'containerd.types.transfer.ImageStore', value: ImageStore.encode(destination).finish()},
		options: {progressStream: progress?.id ?? ''},
	}, call);
}
