import {randomUUID} from 'node:crypto';
import {isKeelsonError} from '../kernel/errors.ts';
import type {CallOptions} from './channel.ts';
import type {Services} from './services.ts';

// A client that dies leaves its lease; what it kept is collected after this.
const EXPIRES_MS = 60 * 60 * 1000;

/** Keeps what is created under it from being collected, until it is disposed. */
export class Lease implements AsyncDisposable {
	readonly id: string;
	readonly #services: Pick<Services, 'leases'>;

	private constructor(id: string, services: Pick<Services, 'leases'>) {
		this.id = id;
		this.#services = services;
	}

	/** Resolves once the daemon has it; it expires by itself after an hour. */
	static async create(services: Pick<Services, 'leases'>, options: CallOptions = {}): Promise<Lease> {
		const id = `client-${randomUUID()}`;
		const expires = new Date(Date.now() + EXPIRES_MS).toISOString();
		await services.leases.create({id, labels: {'containerd.io/gc.expire': expires}}, options);
		return new Lease(id, services);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.#services.leases.delete({id: this.id});
		} catch (error) {
			// Another daemon process may answer by now, or the lease has expired: nothing is left to give back.
			if (!isKeelsonError(error, 'NOT_FOUND') && !isKeelsonError(error, 'UNAVAILABLE')) {
				throw error;
			}
		}
	}
}
