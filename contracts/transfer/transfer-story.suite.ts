import {randomBytes} from 'node:crypto';
import type {ExecutionContext, TestFn} from 'ava';
import type {Metadata, Scope} from '../metadata/metadata.ts';
import type {ExportEnd, StoreEnd, Transfer, TransferProgress} from './transfer.ts';

/** A transfer with the metadata that it works on; nothing is collected but by the suite. */
export interface TransferHouse extends AsyncDisposable {
	readonly transfer: Transfer;
	readonly metadata: Metadata;
}

export interface TransferSubject {
	readonly name: string;
	/** Where images are unpacked to. */
	readonly snapshotter: string;
	create(): Promise<TransferHouse>;
}

/** A namespace of its own in the house. */
export class Corner {
	readonly t: ExecutionContext;
	readonly namespace = `n-${randomBytes(4).toString('hex')}`;
	readonly scope: Scope;
	readonly snapshotter: string;
	readonly #house: TransferHouse;

	constructor(t: ExecutionContext, house: TransferHouse, snapshotter: string) {
		this.t = t;
		this.#house = house;
		this.snapshotter = snapshotter;
		this.scope = house.metadata.scope({namespace: this.namespace});
	}

	/** An empty namespace beside this one. */
	get other(): Corner {
		return new Corner(this.t, this.#house, this.snapshotter);
	}

	transfer(request: Pick<Parameters<Transfer['transfer']>[0], 'source' | 'destination'> & Partial<Parameters<Transfer['transfer']>[0]>): ReturnType<Transfer['transfer']> {
		return this.#house.transfer.transfer({namespace: this.namespace, signal: AbortSignal.timeout(60_000), ...request});
	}

	/** Pulls and unpacks. */
	pull(reference: string, {signal, progress, lease, ...store}: Partial<StoreEnd> & {signal?: AbortSignal; progress?: (progress: TransferProgress) => void; lease?: string} = {}): ReturnType<Transfer['transfer']> {
		return this.transfer({
			source: {kind: 'registry', reference},
			destination: {kind: 'store', name: 'image', unpacks: [{snapshotter: this.snapshotter}], ...store},
			...signal === undefined ? {} : {signal},
			...progress === undefined ? {} : {progress},
			...lease === undefined ? {} : {lease},
		});
	}

	async collect(): Promise<void> {
		await this.#house.metadata.collect();
	}

	/** What the namespace holds, by name. */
	async holds(): Promise<{images: string[]; leases: string[]; content: string[]; ingests: string[]; snapshots: string[]}> {
		const {images, leases, content} = this.scope;
		return {
			images: (await images.list()).map(({name}) => name),
			leases: (await leases.list()).map(({id}) => id),
			content: (await Array.fromAsync(content.list())).map(({digest}) => digest),
			ingests: (await content.statuses()).map(({ref}) => ref),
			snapshots: (await Array.fromAsync(this.scope.snapshotter(this.snapshotter).list())).map(({name}) => name),
		};
	}

	/** After a collection. */
	async holdsNothing(what?: string): Promise<void> {
		await this.collect();
		this.t.deepEqual(await this.holds(), {images: [], leases: [], content: [], ingests: [], snapshots: []}, what);
	}
}

export type Story = (title: string, tell: (t: ExecutionContext, corner: Corner) => Promise<void>) => void;

/** One house for all tests of a file, a corner of it for each. */
export function storiesOf(test: TestFn, {name, snapshotter, create}: TransferSubject): Story {
	let house: Promise<TransferHouse> | undefined;
	test.after.always(`${name}: the house goes`, async () => {
		await (await house)?.[Symbol.asyncDispose]();
	});
	return (title, tell) => {
		test.serial(`${name}: ${title}`, async t => {
			t.timeout(60_000);
			house ??= create();
			await tell(t, new Corner(t, await house, snapshotter));
		});
	};
}

/** Takes an archive into memory. */
export function intoMemory(more: Partial<ExportEnd> = {}): {readonly end: ExportEnd; readonly bytes: () => Buffer} {
	const chunks: Uint8Array[] = [];
	return {
		end: {kind: 'export', mediaType: '', write: async chunk => {
			chunks.push(chunk);
		}, ...more},
		bytes: () => Buffer.concat(chunks),
	};
}

export async function* inPieces(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array, void, undefined> {
	for (let at = 0; at < bytes.length; at += size) {
		yield bytes.subarray(at, at + size);
	}
}
