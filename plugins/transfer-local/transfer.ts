import {randomUUID} from 'node:crypto';
import type {Differ} from '../../contracts/diff/diff.ts';
import type {Registry} from '../../contracts/fetch/fetch.ts';
import type {ImageInfo, Metadata, Scope} from '../../contracts/metadata/metadata.ts';
import type {Platform} from '../../contracts/oci/platform.ts';
import type {Transfer, TransferRequest} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {exportImages} from './export.ts';
import {importArchive} from './import.ts';
import {KeyedMutex} from './keyed-mutex.ts';
import {pull} from './pull.ts';
import {push} from './push.ts';
import {tag} from './tag.ts';

export interface Services {
	readonly registry: Registry;
	readonly metadata: Metadata;
	readonly differs: ReadonlyMap<string, Differ>;
}

export interface Settings {
	readonly concurrentDownloads: number;
	readonly concurrentUploads: number;
	readonly hostDirectory: string;
	readonly checksPlatform: boolean;
	readonly unpack: readonly {readonly platform?: Platform; readonly snapshotter: string; readonly differ: string}[];
}

/** One transfer under way: everything its steps need, and nothing that outlives it but the locks. */
export interface Job extends Services {
	readonly request: TransferRequest;
	readonly settings: Settings;
	readonly scope: Scope;
	/** Work on the same blob or layer is done once, by whoever comes first. */
	readonly locks: KeyedMutex;
	report(event: string, name?: string, details?: Partial<Omit<Parameters<NonNullable<TransferRequest['progress']>>[0], 'event' | 'name'>>): void;
}

const LEASE_HOURS = 24;

export class LocalTransfer implements Transfer {
	readonly #services: Services;
	readonly #settings: Settings;
	readonly #locks = new KeyedMutex();

	constructor(services: Services, settings: Settings) {
		this.#services = services;
		this.#settings = settings;
	}

	async transfer(request: TransferRequest): Promise<readonly ImageInfo[]> {
		const {source, destination} = request;
		if (source.kind === 'import' && destination.kind === 'export') {
			for await (const chunk of source.bytes) {
				await destination.write(chunk);
			}
			return [];
		}
		return this.#leased(request, async job => {
			if (source.kind === 'registry' && destination.kind === 'store') {
				return pull(job, source, destination);
			}
			if (source.kind === 'store' && destination.kind === 'registry') {
				return push(job, source, destination);
			}
			if (source.kind === 'import' && destination.kind === 'store') {
				return importArchive(job, source, destination);
			}
			if (source.kind === 'store' && destination.kind === 'export') {
				return exportImages(job, source, destination);
			}
			if (source.kind === 'store' && destination.kind === 'store') {
				return tag(job, source, destination);
			}
			throw new KeelsonError('UNIMPLEMENTED', `cannot transfer from ${source.kind} to ${destination.kind}`);
		});
	}

	/** What a transfer makes is protected until its image names it: by the client's lease, or by one that ends with the transfer. */
	async #leased(request: TransferRequest, work: (job: Job) => Promise<readonly ImageInfo[]>): Promise<readonly ImageInfo[]> {
		const {namespace, lease} = request;
		const {metadata} = this.#services;
		if (lease !== undefined) {
			return work(this.#job(request, metadata.scope({namespace, lease})));
		}
		const {leases} = metadata.scope({namespace});
		const expiry = new Date(Date.now() + LEASE_HOURS * 3600_000);
		const own = await leases.create({id: `transfer-${randomUUID()}`, labels: {'containerd.io/gc.expire': expiry.toISOString()}});
		try {
			return await work(this.#job(request, metadata.scope({namespace, lease: own.id})));
		} finally {
			await leases.delete(own.id);
		}
	}

	#job(request: TransferRequest, scope: Scope): Job {
		return {
			...this.#services,
			request,
			scope,
			settings: this.#settings,
			locks: this.#locks,
			report(event, name = '', details = {}) {
				request.progress?.({event, name, parents: [], progress: 0, total: 0, ...details});
			},
		};
	}
}
