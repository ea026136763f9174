import type {ContainerInfo, ContainerRecord} from '../../contracts/metadata/metadata.ts';
import {anyColumns, anyOf, decodeExtensions, encodeExtensions} from './any-columns.ts';
import {decodeLabels, encodeLabels} from './labels.ts';

export interface ContainerRow {
	readonly id: string;
	readonly labels: string;
	readonly image: string;
	readonly snapshotter: string;
	readonly snapshot_key: string;
	readonly sandbox: string;
	readonly created_at: number;
	readonly updated_at: number;
	readonly runtime: string;
	readonly extensions: string;
	readonly options_type: string | null;
	readonly options: Uint8Array | null;
	readonly spec_type: string | null;
	readonly spec: Uint8Array | null;
}

/** In the order: labels, image, snapshotter, snapshot_key, sandbox, runtime, extensions, options_type, options, spec_type, spec. */
export function containerValues(container: ContainerRecord): ReadonlyArray<string | Uint8Array | null> {
	return [
		encodeLabels(container.labels), container.image, container.snapshotter, container.snapshotKey, container.sandbox, container.runtime.name,
		encodeExtensions(container.extensions), ...anyColumns(container.runtime.options), ...anyColumns(container.spec),
	];
}

export function containerInfo(row: ContainerRow): ContainerInfo {
	const options = anyOf(row.options_type, row.options);
	const spec = anyOf(row.spec_type, row.spec);
	return {
		id: row.id,
		labels: decodeLabels(row.labels),
		image: row.image,
		runtime: {name: row.runtime, ...(options === undefined ? {} : {options})},
		...(spec === undefined ? {} : {spec}),
		snapshotter: row.snapshotter,
		snapshotKey: row.snapshot_key,
		sandbox: row.sandbox,
		extensions: decodeExtensions(row.extensions),
		createdAt: new Date(row.created_at),
		updatedAt: new Date(row.updated_at),
	};
}
