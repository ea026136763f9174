import {setTimeout as sleep} from 'node:timers/promises';
import type {Logger} from '../../../kernel/log.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {connectTtrpc, type TtrpcClient} from '../../../lib/ttrpc/client.ts';
import {ttrpcClientFor, type TypedClient} from '../../../lib/ttrpc/typed-service.ts';
import {SpareDefinition, spareSocketPath, spareVersion, type SpareAssigned, type SpareAssignment, type SpareInheritance} from '../protocol/spare-service.ts';
import {Serial} from '../protocol/serial.ts';
import type {ShimAddress} from './bundle.ts';
import type {ShimProgram} from './shim-program.ts';

export interface WarmSpareOptions {
	/** Our own shim. */
	readonly program: ShimProgram;
	readonly grpcAddress: string;
	readonly log: Logger;
}

/** After the daemon's own start, or a container's, which are in more of a hurry. */
const firstMs = 500;
const nextMs = 300;
const retryMs = 5000;
const startMs = 20_000;
const callMs = 3000;
/** Calls of a runtime that a killed shim has left may take as long; then each container its own. */
const inheritMs = 20_000;
const adoptMs = 500;
const inheritAttempts = 3;
const passOnMs = 5000;
const leaveMs = 1000;
/** How long after an exit the spare is asked whether it is there, once for all exits until then. */
const checkMs = 500;

export type Inheritance = Omit<SpareInheritance, 'patienceMs'>;

interface Spare {
	readonly pid: number;
	readonly client: TtrpcClient;
	readonly calls: TypedClient<typeof SpareDefinition>;
}

/**
 * A shim's process that waits to be needed, so that no start of a container waits for Node. There is one, made in the background; when it is used
 * up, or has died, the next is made. While there is none, shims are started as if there never were one.
 */
export class WarmSpare implements AsyncDisposable {
	readonly #options: WarmSpareOptions;
	#spare: Spare | undefined;
	#timer: NodeJS.Timeout | undefined;
	#making: Promise<void> | undefined;
	#used: Promise<void> = Promise.resolve();
	#check: NodeJS.Timeout | undefined;
	/** The last spare has passed on by then what it held for others. */
	#passedOnBy = 0;
	/** One dead shim after the other: each takes a spare. */
	readonly #heirs = new Serial();
	readonly #closing = new AbortController();

	constructor(options: WarmSpareOptions) {
		this.#options = options;
		this.#makeIn(firstMs);
	}

	/**
	 * A process has ended whose streams the spare may hold open. One that does not answer any more (stopped, wedged) would keep its reader waiting for the end: it
	 * is killed, and what it held is given to the next. Never waits.
	 */
	ended(): void {
		if (this.#spare !== undefined && this.#check === undefined && !this.#closing.signal.aborted) {
			this.#check = setTimeout(() => {
				this.#check = undefined;
				void this.#replaceSilent();
			}, checkMs).unref();
		}
	}

	/** Whether it can stand in for a shim of that binary. */
	serves(binary: string): boolean {
		return binary === this.#options.program.path;
	}

	/** Makes the spare the shim of a namespace. Undefined when there is none, or it fails: what it said is in the log. */
	async assign(assignment: SpareAssignment): Promise<ShimAddress | undefined> {
		const spare = this.#take();
		if (spare === undefined) {
			return undefined;
		}
		try {
			const {version, address} = await this.#use(spare.calls.assign(assignment, {timeoutMs: callMs}));
			return {version, address, protocol: 'ttrpc'};
		} catch (error) {
			this.#options.log.warn('the spare shim could not be used', {namespace: assignment.namespace, container: assignment.id, error});
			return undefined;
		} finally {
			await spare.client[Symbol.asyncDispose]();
			this.#makeIn(nextMs);
		}
	}

	/** Makes the spare the shim of containers whose own is gone; waits for one that is being made. False when it cannot: what it said is in the log. */
	async inherit(inheritance: Inheritance): Promise<boolean> {
		return this.#heirs.run(async () => this.#inherit(inheritance));
	}

	async #inherit(inheritance: Inheritance): Promise<boolean> {
		const {namespace, containers} = inheritance;
		for (let attempt = 0; attempt < inheritAttempts && !this.#closing.signal.aborted; attempt++) {
			if (this.#spare === undefined) {
				await this.#makeNow();
			}
			const spare = this.#take();
			if (spare === undefined) {
				continue;
			}
			try {
				await this.#use(spare.calls.inherit({...inheritance, patienceMs: Math.max(0, this.#passedOnBy - performance.now())}, {timeoutMs: inheritMs + adoptMs * containers.length}));
				return true;
			} catch (error) {
				this.#options.log.warn('the spare shim could not take over', {namespace, containers: containers.length, error});
			} finally {
				await spare.client[Symbol.asyncDispose]();
				this.#makeIn(nextMs);
			}
		}
		return false;
	}

	/** Sends the spare away, if there is one. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		clearTimeout(this.#timer);
		clearTimeout(this.#check);
		// One that is being made is waited for, since only then can it be sent away. What comes later ends by itself.
		await Promise.race([this.#making, sleep(callMs, undefined, {ref: false})]);
		const spare = this.#take() ?? await this.#find(AbortSignal.timeout(callMs)).catch(() => undefined);
		if (spare !== undefined) {
			await spare.calls.leave({}, {timeoutMs: callMs}).catch(() => undefined);
			// It closes the connection as it ends.
			await Promise.race([spare.client.closed, sleep(leaveMs, undefined, {ref: false})]);
			await spare.client[Symbol.asyncDispose]();
		}
	}

	async #replaceSilent(): Promise<void> {
		const spare = this.#spare;
		try {
			await spare?.calls.hello({}, {timeoutMs: callMs});
		} catch (error) {
			// Its connection is there, so the pid is still its own.
			if (spare !== undefined && isKeelsonError(error, 'DEADLINE_EXCEEDED') && !spare.client.isClosed && spare === this.#spare) {
				this.#options.log.warn('the spare shim does not answer, and is ended', {pid: spare.pid, milliseconds: callMs});
				process.kill(spare.pid, 'SIGKILL');
			}
		}
	}

	/** Until it has answered, the place of the next is not free. */
	async #use(answer: Promise<SpareAssigned>): Promise<SpareAssigned> {
		this.#used = answer.then(({passesOn}) => {
			this.#passedOnBy = passesOn > 0 ? performance.now() + passOnMs : 0;
		}, () => undefined);
		return answer;
	}

	#take(): Spare | undefined {
		const spare = this.#spare;
		this.#spare = undefined;
		return spare;
	}

	#makeIn(milliseconds: number): void {
		clearTimeout(this.#timer);
		if (this.#closing.signal.aborted) {
			return;
		}
		this.#timer = setTimeout(() => void this.#makeNow(), milliseconds).unref();
	}

	async #makeNow(): Promise<void> {
		clearTimeout(this.#timer);
		this.#making ??= this.#make().finally(() => {
			this.#making = undefined;
		});
		return this.#making;
	}

	async #make(): Promise<void> {
		const {program, log} = this.#options;
		await this.#used;
		const signal = AbortSignal.timeout(startMs);
		try {
			let spare = await this.#find(signal);
			if (spare === undefined) {
				await program.spare(signal);
				spare = await this.#find(signal);
			}
			if (spare === undefined) {
				throw new KeelsonError('UNAVAILABLE', 'the spare shim ended at once');
			}
			this.#keep(spare);
		} catch (error) {
			if (!this.#closing.signal.aborted) {
				log.warn('there is no spare shim: containers start without', {error});
				this.#makeIn(retryMs);
			}
		}
	}

	#keep(spare: Spare): void {
		this.#spare = spare;
		void spare.client.closed.then(() => {
			if (this.#spare === spare) {
				this.#spare = undefined;
				this.#options.log.warn('the spare shim is gone, another is made');
				this.#makeIn(nextMs);
			}
		});
	}

	/** The spare that is there; an earlier daemon may have left it. One that speaks otherwise is sent away. */
	async #find(signal: AbortSignal): Promise<Spare | undefined> {
		let client: TtrpcClient;
		try {
			client = await connectTtrpc(spareSocketPath(this.#options.grpcAddress), {signal});
		} catch (error) {
			if (error instanceof KeelsonError && (error.code === 'NOT_FOUND' || error.code === 'UNAVAILABLE')) {
				return undefined;
			}
			throw error;
		}
		try {
			const calls = ttrpcClientFor(SpareDefinition, client);
			const {version, pid} = await calls.hello({}, {timeoutMs: callMs, signal});
			if (version === spareVersion) {
				return {pid, client, calls};
			}
			await calls.leave({}, {timeoutMs: callMs, signal});
		} catch (error) {
			await client[Symbol.asyncDispose]();
			throw error;
		}
		await client[Symbol.asyncDispose]();
		return undefined;
	}
}
