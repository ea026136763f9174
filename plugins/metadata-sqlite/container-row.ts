import type {ContainerInfo, ContainerRecord} from '../../contracts/metadata/metadata.ts';
import {anyColumns, anyOf, decodeExtensions, encodeExtensions} from './any-columns.ts';
import {decodeLabels, encodeLabels} from './labels.ts';

export const CONTAINER_COLUMNS = 'id, labels, image, snapshotter, snapshot_key, sandbox, created_at, updated_at, runtime, extensions, options_type, options, spec_type, spec';

/** CONTAINER_COLUMNS. */
export type ContainerRow = readonly [
	id: string, labels: string, image: string, snapshotter: string, snapshotKey: string, sandbox: string, createdAt: number, updatedAt: number, runtime: string, extensions: string,
	optionsType: string | null, options: Uint8Array | null, specType: string | null, spec: Uint8Array | null,
];

/** In the order: labels, image, snapshotter, snapshot_key, sandbox, runtime, extensions, options_type, options, spec_type, spec. */
export function containerValues(container: ContainerRecord): ReadonlyArray<string | Uint8Array | null> {
	return [
		encodeLabels(container.labels), container.image, container.snapshotter, container.snapshotKey, container.sandbox, container.runtime.name,
		encodeExtensions(container.extensions), ...anyColumns(container.runtime.options), ...anyColumns(container.spec),
	];
}

export function containerInfo([id, labels, image, snapshotter, snapshotKey, sandbox, createdAt, updatedAt, runtime, extensions, optionsType, optionsValue, specType, specValue]: ContainerRow): ContainerInfo {
	const options = anyOf(optionsType, optionsValue);
	const spec = anyOf(specType, specValue);
	return {
		id,
		labels: decodeLabels(labels),
		image,
		runtime: options === undefined ? {name: runtime} : {name: runtime, options},
		...(spec === undefined ? {} : {spec}),
		snapshotter,
		snapshotKey,
		sandbox,
		extensions: decodeExtensions(extensions),
		createdAt: new Date(createdAt),
		updatedAt: new Date(updatedAt),
	};
}
