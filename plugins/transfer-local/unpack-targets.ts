import type {Differ} from '../../contracts/diff/diff.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isConfig} from '../../contracts/oci/media-type.ts';
import {formatPlatform, hostPlatform, platformDistance, type Platform} from '../../contracts/oci/platform.ts';
import type {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import type {StoreEnd, UnpackTarget} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseConfig, type Children} from './manifest.ts';
import {readDocument} from './read-document.ts';
import type {Job} from './job.ts';

/** Resolves once a layer is in the content store; rejects when it will not come, or the job ends. */
export type LayerArrival = (layer: Descriptor) => Promise<void>;

/** Where an image is unpacked to, and by what. */
export interface Unpacking {
	readonly snapshotterName: string;
	readonly snapshotter: Snapshotter;
	readonly differ: Differ;
}

/** Throws INVALID_ARGUMENT for a target's snapshotter that is not loaded: before anything is fetched for it. */
export function checkUnpacks({scope}: Job, {unpacks = []}: StoreEnd): void {
	for (const {snapshotter = ''} of unpacks) {
		if (snapshotter !== '') {
			scope.snapshotter(snapshotter);
		}
	}
}

/** Those of the destination's targets that this image's platform matches; none for what is no image (an artifact). Rejects with NOT_FOUND for a snapshotter or differ that is not loaded. */
export async function unpackTargets(job: Job, {unpacks = []}: StoreEnd, {descriptor, children: {config}}: {descriptor: Descriptor; children: Children}): Promise<readonly Unpacking[]> {
	if (unpacks.length === 0 || config === undefined || !isConfig(config.mediaType)) {
		return [];
	}
	const platform = descriptor.platform ?? parseConfig(await readDocument(job, config), config.digest).platform;
	const matching = unpacks.filter(target => platformDistance(target.platform ?? hostPlatform(), platform) !== undefined);
	return Promise.all(matching.map(async target => unpackingOf(job, target, platform)));
}

/** Those that the destination's targets will be, most likely, of an image whose platform is not known yet: to go by, not to rely on. */
export async function likelyTargets(job: Job, {unpacks = []}: StoreEnd): Promise<readonly Unpacking[]> {
	const found = await Promise.allSettled(unpacks.map(async target => unpackingOf(job, target, target.platform ?? hostPlatform())));
	return found.flatMap(result => result.status === 'fulfilled' ? [result.value] : []);
}

async function unpackingOf(job: Job, {snapshotter: asked}: UnpackTarget, platform: Platform): Promise<Unpacking> {
	const {settings, differs, scope, metadata} = job;
	const configured = settings.unpack.find(one => (asked === undefined || asked === '' || one.snapshotter === asked) && platformDistance(one.platform ?? hostPlatform(), platform) !== undefined);
	if (configured === undefined && settings.checksPlatform) {
		throw new KeelsonError('FAILED_PRECONDITION', `no unpack_config for platform ${formatPlatform(platform)} and snapshotter ${JSON.stringify(asked ?? '')}`);
	}
	const byDefault = asked === undefined || asked === '' ? await defaultSnapshotter(job) : asked;
	const snapshotterName = byDefault ?? configured?.snapshotter ?? metadata.snapshotters[0] ?? 'overlayfs';
	const differName = configured?.differ ?? 'walking';
	const differ = differs.get(differName);
	if (differ === undefined) {
		throw new KeelsonError('NOT_FOUND', `differ ${JSON.stringify(differName)} is not loaded: not found`);
	}
	return {snapshotterName, differ, snapshotter: scope.snapshotter(snapshotterName)};
}

async function defaultSnapshotter({metadata, scope}: Job): Promise<string | undefined> {
	const namespaces = await metadata.namespaces.list();
	return namespaces.find(({name}) => name === scope.namespace)?.labels['containerd.io/defaults/snapshotter'];
}
