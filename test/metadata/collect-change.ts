import * as fc from 'fast-check';
import {containerOf, descriptorOf, digestOf} from '../../contracts/metadata/metadata-story.suite.ts';
import type {Scope} from '../../contracts/metadata/metadata.ts';
import {blob, SNAPSHOTS, text, type World} from './collect-world.ts';

/** Something that makes a blob or a snapshot reachable that may not have been; none removes a root but the retargeted image or container. */
export interface LateChange {
	readonly kind: keyof typeof kinds;
	readonly host: number;
	readonly target: number;
}

interface Kind {
	readonly make: (scope: Scope, world: World, host: number, target: number) => Promise<unknown>;
	readonly result: (world: World, host: number, target: number) => Partial<World>;
}

const aSnapshot = (index: number): number => index % SNAPSHOTS;
const aContainer = (index: number): ReturnType<typeof containerOf> => containerOf('late', {snapshotter: 'memory', snapshotKey: `s${aSnapshot(index)}`});
const reference = (index: number): Record<string, string> => ({'containerd.io/gc.ref.content.late': digestOf(text(index))});
const aSandbox = (labels: Record<string, string>): Parameters<Scope['sandboxes']['create']>[0] =>
	({id: 'late', runtime: {name: 'r'}, spec: {typeUrl: 't', value: Uint8Array.of(1)}, labels, extensions: {}, sandboxer: 'shim'});

const kinds = {
	'an image is made': {
		make: async ({images}, _, __, target) => images.create({name: 'late', labels: {}, target: descriptorOf(text(target))}),
		result: ({images}, _, target) => ({images: [...images, target]}),
	},
	'an image gets another target': {
		make: async ({images}, world, _, target) => images.update({name: `i${world.images[0] ?? 'none'}`, labels: {}, target: descriptorOf(text(target))}, ['target']),
		result: ({images}, _, target) => ({images: [...images.slice(1), target]}),
	},
	'an image gets a label': {
		make: async ({images}, world, _, target) => images.update({name: `i${world.images[0] ?? 'none'}`, labels: reference(target)}, ['labels']),
		result: ({images}, _, target) => ({images: [...images, target]}),
	},
	'a blob gets a label': {
		make: async ({content}, _, host, target) => content.update(digestOf(text(host)), reference(target), ['labels.containerd.io/gc.ref.content.late']),
		result: ({blobRefs}, host, target) => ({blobRefs: blobRefs.map((refs, index) => index === host ? [...refs, target] : refs)}),
	},
	'a blob clings to another': {
		make: async ({content}, _, host, target) => content.update(digestOf(text(host)), {'containerd.io/gc.bref.content': digestOf(text(target))}, ['labels.containerd.io/gc.bref.content']),
		result: ({blobKeepers}, host, target) => ({blobKeepers: blobKeepers.map((keeper, index) => index === host ? target : keeper)}),
	},
	'a container is made': {
		make: async ({containers}, _, __, target) => containers.create(aContainer(target)),
		result: ({containers}, _, target) => ({containers: [...containers, aSnapshot(target)]}),
	},
	'a container gets another snapshot': {
		make: async ({containers}, world, _, target) => containers.update({...aContainer(target), id: `c${world.containers[0] ?? 'none'}`}, ['snapshotkey']),
		result: ({containers}, _, target) => ({containers: [...containers.slice(1), aSnapshot(target)]}),
	},
	'a sandbox is made': {
		make: async ({sandboxes}, _, __, target) => sandboxes.create(aSandbox(reference(target))),
		result: ({images}, _, target) => ({images: [...images, target]}),
	},
	'a lease gets a blob': {
		make: async ({leases}, _, __, target) => leases.add('deep', {type: 'content', id: digestOf(text(target))}),
		result: ({leased}, _, target) => ({leased: [...leased, target]}),
	},
	'a lease gets a snapshot': {
		make: async ({leases}, _, __, target) => leases.add('deep', {type: 'snapshots/memory', id: `s${aSnapshot(target)}`}),
		result: ({containers}, _, target) => ({containers: [...containers, aSnapshot(target)]}),
	},
} satisfies Record<string, Kind>;

export const change: fc.Arbitrary<LateChange> = fc.record({kind: fc.constantFrom(...Object.keys(kinds) as Array<keyof typeof kinds>), host: blob, target: blob});

/** Done in the turn of the caller. Rejects with NOT_FOUND when there is nothing to change. */
export async function makeChange(scope: Scope, world: World, {kind, host, target}: LateChange): Promise<void> {
	await (kinds[kind] satisfies Kind as Kind).make(scope, world, host, target);
}

/** The world once it is made. */
export function withChange(world: World, {kind, host, target}: LateChange): World {
	return {...world, ...(kinds[kind] satisfies Kind as Kind).result(world, host, target)};
}
