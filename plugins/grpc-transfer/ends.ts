import {platformOf} from '../../api/convert/platform.ts';
import {ContainerPath} from '../../api/gen/types/transfer/container.ts';
import {ImageStore, type UnpackConfiguration} from '../../api/gen/types/transfer/imagestore.ts';
import {ImageExportStream, ImageImportStream} from '../../api/gen/types/transfer/importexport.ts';
import {OCIRegistry} from '../../api/gen/types/transfer/registry.ts';
import {ReadStream, WriteStream} from '../../api/gen/types/transfer/streaming.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {Stream} from '../../contracts/stream/stream.ts';
import type {ContainerEnd, ExportEnd, ImportEnd, RegistryEnd, StoreEnd, TransferEnd, UnpackTarget} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {ByteSender, decode, receiveBytes} from './byte-streams.ts';
import {credentialsOver} from './credentials.ts';

/** Opens a stream that the client has named. */
type OpenStream = (id: string) => Promise<Stream>;

export interface OpenEnds {
	readonly open: OpenStream;
	/** Disposes of it once the transfer is over, before the streams that were opened. */
	readonly hold: (resource: AsyncDisposable) => void;
	readonly signal: AbortSignal;
}

/**
 * What a client means with an Any; streams that it names are opened. Rejects with UNIMPLEMENTED for a type that no transfer knows, INVALID_ARGUMENT
 * for bytes that are none of their type, NOT_FOUND for a stream that is not there.
 */
export async function openEnd(any: Any, what: string, {open, hold, signal}: OpenEnds): Promise<TransferEnd> {
	const decoded = <T>(codec: {decode(bytes: Uint8Array): T}): T => decode(any, any.typeUrl, codec);
	switch (any.typeUrl) {
		case 'containerd.types.transfer.ImageStore':
			return storeEnd(decoded(ImageStore));
		case 'containerd.types.transfer.OCIRegistry':
			return registryEnd(decoded(OCIRegistry), open);
		case 'containerd.types.transfer.ImageImportStream':
			return importEnd(decoded(ImageImportStream), open, signal);
		case 'containerd.types.transfer.ImageExportStream':
			return exportEnd(decoded(ImageExportStream), {open, hold, signal});
		case 'containerd.types.transfer.ContainerPath':
			return containerEnd(decoded(ContainerPath));
		case 'containerd.types.transfer.ReadStream':
			return importEnd({...decoded(ReadStream), forceCompress: false}, open, signal);
		case 'containerd.types.transfer.WriteStream':
			return exportEnd(ImageExportStream.fromPartial(decoded(WriteStream)), {open, hold, signal});
		default:
			throw new KeelsonError('UNIMPLEMENTED', `transfer ${what} of type ${JSON.stringify(any.typeUrl.slice(0, 200))}`);
	}
}

function storeEnd({name, labels, platforms, allMetadata, manifestLimit, extraReferences, unpacks}: ImageStore): StoreEnd {
	return {
		kind: 'store', name, labels, allMetadata, manifestLimit, extraReferences,
		platforms: platforms.map(platformOf), unpacks: unpacks.map(unpackTarget),
	};
}

function unpackTarget({platform, snapshotter}: UnpackConfiguration): UnpackTarget {
	return {
		...(platform === undefined ? {} : {platform: platformOf(platform)}),
		...(snapshotter === '' ? {} : {snapshotter}),
	};
}

function containerEnd({containerId, path, noWalk, preserveOwnership}: ContainerPath): ContainerEnd {
	return {kind: 'container', containerId, path, noWalk, keepsOwners: preserveOwnership};
}

async function registryEnd({reference, resolver}: OCIRegistry, open: OpenStream): Promise<RegistryEnd> {
	if (resolver === undefined) {
		return {kind: 'registry', reference};
	}
	const {headers, hostDir, defaultScheme, authStream} = resolver;
	return {kind: 'registry', reference, options: {
		headers: new Map(Object.entries(headers)),
		...(hostDir === '' ? {} : {hostDirectory: hostDir}),
		...(defaultScheme === '' ? {} : {defaultScheme}),
		...(authStream === '' ? {} : {credentials: credentialsOver(await open(authStream), reference)}),
	}};
}

async function importEnd({stream, mediaType, forceCompress}: ImageImportStream, open: OpenStream, signal: AbortSignal): Promise<ImportEnd> {
	return {kind: 'import', bytes: receiveBytes(await open(stream), signal), mediaType, forceCompress};
}

async function exportEnd(message: ImageExportStream, {open, hold, signal}: OpenEnds): Promise<ExportEnd> {
	const {stream, mediaType, platforms, allPlatforms, skipCompatibilityManifest, skipNonDistributable} = message;
	const sender = new ByteSender(await open(stream), signal);
	hold(sender);
	return {
		kind: 'export', write: async chunk => sender.write(chunk), mediaType,
		platforms: platforms.map(platformOf), allPlatforms, skipCompatibilityManifest, skipNonDistributable,
	};
}
