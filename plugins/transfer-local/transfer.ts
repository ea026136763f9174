import {randomUUID} from 'node:crypto';
import type {ImageInfo, LeaseStore, Scope} from '../../contracts/metadata/metadata.ts';
import type {ExportEnd, ImportEnd, Transfer, TransferRequest} from '../../contracts/transfer/transfer.ts';
import {KeelsonError, isKeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import {Downloads} from './downloads.ts';
import type {Job, Services, Settings} from './job.ts';
import {KeyedMutex} from './keyed-mutex.ts';
import {pull} from './pull.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

const LEASE_HOURS = 24;

/** Each kind of transfer but the pull is loaded with the first of it: together they would be a tenth of the daemon's start. */
export class LocalTransfer implements Transfer {
	readonly #services: Services;
	readonly #settings: Settings;
	readonly #locks = new KeyedMutex();
	readonly #downloads = new Downloads();

	constructor(services: Services, settings: Settings) {
		this.#services = services;
		this.#settings = settings;
	}

	async transfer(request: TransferRequest): Promise<readonly ImageInfo[]> {
		const {signal} = request;
		try {
			signal.throwIfAborted();
			return await this.#transfer(request);
		} catch (error) {
			// What an abort made fail is of no interest, but why it was aborted.
			throw signal.aborted ? KeelsonError.from(signal.reason, 'CANCELLED') : KeelsonError.from(error);
		}
	}

	async #transfer(request: TransferRequest): Promise<readonly ImageInfo[]> {
		const {source, destination} = request;
		if (source.kind === 'registry' && destination.kind === 'store') {
			return this.#leased(request, async job => pull(job, source, destination));
		}
		if (source.kind === 'store' && destination.kind === 'registry') {
			return this.#leased(request, async job => (await import('./push.ts')).push(job, source, destination));
		}
		if (source.kind === 'import' && destination.kind === 'store') {
			return this.#leased(request, async job => (await import('./import.ts')).importArchive(job, source, destination));
		}
		if (source.kind === 'store' && destination.kind === 'export') {
			return this.#leased(request, async job => (await import('./export.ts')).exportImages(job, source, destination));
		}
		if (source.kind === 'store' && destination.kind === 'store') {
			return this.#leased(request, async job => (await import('./tag.ts')).tag(job, source, destination));
		}
		if (source.kind === 'import' && destination.kind === 'export') {
			return echo(source, destination, request.signal);
		}
		if (source.kind === 'import' && destination.kind === 'container') {
			return (await import('./container-files.ts')).copyInto(this.#job(request), source, destination);
		}
		if (source.kind === 'container' && destination.kind === 'export') {
			return (await import('./container-files.ts')).copyFrom(this.#job(request), source, destination);
		}
		throw new KeelsonError('UNIMPLEMENTED', `cannot transfer from ${source.kind} to ${destination.kind}`);
	}

	/** What a transfer makes is protected until its image names it: by the client's lease, or by one that ends with the transfer. */
	async #leased(request: TransferRequest, work: (job: Job) => Promise<readonly ImageInfo[]>): Promise<readonly ImageInfo[]> {
		const {namespace, lease} = request;
		const {metadata} = this.#services;
		if (lease !== undefined) {
			return work(this.#job(request, lease));
		}
		const scope = metadata.scope({namespace});
		const {leases} = scope;
		const expiry = new Date(Date.now() + LEASE_HOURS * 3600_000);
		const own = await leases.create({id: `transfer-${randomUUID()}`, labels: {'containerd.io/gc.expire': expiry.toISOString()}});
		await using ending = new AsyncDisposableStack();
		ending.defer(async () => endLease(leases, own.id));
		try {
			return await work(this.#job(request, own.id));
		} catch (error) {
			await abandonIngests(scope, own.id);
			throw error;
		}
	}

	#job(request: TransferRequest, lease?: string): Job {
		return {
			...this.#services,
			request,
			scope: this.#services.metadata.scope({namespace: request.namespace, ...(lease === undefined ? {} : {lease})}),
			settings: this.#settings,
			locks: this.#locks,
			downloads: this.#downloads,
			report(event, name = '', details = {}) {
				request.progress?.({event, name, parents: [], progress: 0, total: 0, ...details});
			},
		};
	}
}

/** Nobody is there to go on with them: what a client's lease protects stays, ours ends. */
async function abandonIngests({content, leases}: Scope, lease: string): Promise<void> {
	const resources = await leases.resources(lease).catch(unless('NOT_FOUND'));
	for (const {id} of resources?.filter(({type}) => type === 'ingests') ?? []) {
		// Committed or gone, or another transfer writes it now.
		await content.abort(id).catch(unless('NOT_FOUND', 'UNAVAILABLE'));
	}
}

function unless(...codes: readonly ErrorCode[]): (error: unknown) => undefined {
	return error => {
		if (!codes.some(code => isKeelsonError(error, code))) {
			throw KeelsonError.from(error);
		}
	};
}

async function endLease(leases: LeaseStore, id: string): Promise<void> {
	// It may have expired, or somebody else removed it.
	await leases.delete(id).catch(unless('NOT_FOUND'));
}

/** An archive comes and goes as it is. */
async function echo({bytes}: ImportEnd, destination: ExportEnd, signal: AbortSignal): Promise<readonly ImageInfo[]> {
	const iterator = bytes[Symbol.asyncIterator]();
	for (let next = await untilAborted(iterator.next(), signal); next.done !== true; next = await untilAborted(iterator.next(), signal)) {
		await untilAborted(destination.write(next.value), signal);
	}
	return [];
}
