import type {Any} from '../../../contracts/oci/any.ts';
import {cgroupOf, isUnified, type ContainerCgroup} from './container-cgroup.ts';
import {readStats} from './stats.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What a field of 64 bits holds; it also says that there is no limit. */
const countMax = 0xffff_ffff_ffff_ffffn;

/** Whose control groups are read. */
export interface Counted {
	readonly cgroup: ContainerCgroup | undefined;
	readonly init: {readonly pid: number};
}

/**
 * What several containers use together, in the form of one container's metrics; zeros for none. Only those that are there are counted, so that
 * a sum falls when one goes. Shares of time and devices of the network are left out: the first have no sum, and containers may have the second in common.
 */
export async function sumStats(containers: readonly Counted[]): Promise<Any> {
	const cgroups = containers.flatMap(({cgroup, init}) => cgroup === undefined ? [] : [{cgroup, init}]);
	const any = cgroups[0]?.cgroup ?? cgroupOf(process.pid);
	const {typeUrl, decode, encode} = await formOf(any !== undefined && isUnified(any));
	let sum: Fields = {};
	for (const {cgroup, init} of cgroups) {
		sum = summedFields(sum, {...decode((await readStats(cgroup, init.pid)).value), network: []});
	}
	return {typeUrl, value: encode(sum)};
}

async function formOf(isSecond: boolean): Promise<{readonly typeUrl: string; readonly decode: (bytes: Uint8Array) => Fields; readonly encode: (fields: Fields) => Uint8Array}> {
	if (isSecond) {
		const {Metrics} = await import('../../../api/gen/cgroups/cgroup2/metrics.ts');
		return {typeUrl: 'io.containerd.cgroups.v2.Metrics', decode: bytes => ({...Metrics.decode(bytes)}), encode: fields => Metrics.encode(Metrics.fromPartial(fields)).finish()};
	}
	const {Metrics} = await import('../../../api/gen/cgroups/cgroup1/metrics.ts');
	return {typeUrl: 'io.containerd.cgroups.v1.Metrics', decode: bytes => ({...Metrics.decode(bytes)}), encode: fields => Metrics.encode(Metrics.fromPartial(fields)).finish()};
}

/** Adds counts field by field; entries of a list by what they are of (a device, a size of pages). Pure. */
export function summedFields(one: Fields, other: Fields): Fields {
	return Object.fromEntries([...new Set([...Object.keys(one), ...Object.keys(other)])].map(key => [key, summed(key, one[key], other[key])]));
}

function summed(key: string, one: unknown, other: unknown): unknown {
	if (key === 'psi') {
		return undefined;
	}
	if (Array.isArray(one) || Array.isArray(other)) {
		return summedLists(listOf(one), listOf(other));
	}
	if (isFields(one) || isFields(other)) {
		return summedFields(isFields(one) ? one : {}, isFields(other) ? other : {});
	}
	// What an entry is of, not how much.
	if (key === 'major' || key === 'minor') {
		return one ?? other;
	}
	if (typeof one === 'bigint' && typeof other === 'bigint') {
		return one + other > countMax ? countMax : one + other;
	}
	return typeof one === 'number' && typeof other === 'number' ? Math.min(one + other, 0xffff_ffff) : one ?? other;
}

function summedLists(one: readonly unknown[], other: readonly unknown[]): readonly unknown[] {
	if (![...one, ...other].every(isFields)) {
		return Array.from({length: Math.max(one.length, other.length)}, (_, at) => summed('', one[at], other[at]));
	}
	const entries = new Map<string, Fields>();
	for (const entry of [...one, ...other].filter(isFields)) {
		const name = nameOf(entry);
		entries.set(name, summedFields(entries.get(name) ?? {}, entry));
	}
	return [...entries.values()];
}

function nameOf(entry: Fields): string {
	return JSON.stringify(Object.entries(entry).filter(([key, value]) => typeof value === 'string' || key === 'major' || key === 'minor').map(([, value]) => String(value)));
}

function listOf(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}

function isFields(value: unknown): value is Fields {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
