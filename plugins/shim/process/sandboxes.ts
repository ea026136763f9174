import {setTimeout as sleep} from 'node:timers/promises';
import {hostPlatform} from '../../../contracts/oci/platform.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import type {Platform} from '../../../contracts/oci/platform.ts';
import {forgetSandbox, recordedSandbox, recordSandbox} from '../protocol/sandbox-record.ts';
import type {Shim} from './shim.ts';

export interface ShimSandbox {
	readonly id: string;
	/** Empty where the daemon named none: the sandbox then ends with this process. */
	readonly bundle: string;
	readonly createdAt: Date;
	readonly netnsPath: string;
	isStarted: boolean;
	exitedAt: Date | undefined;
}

const pollMs = 20;
const [SIGTERM, SIGKILL] = [15, 9];

/** The sandboxes that this process is: it has no process beside its containers', and lasts until it is shut down. */
export class ShimSandboxes {
	readonly #shim: Shim;
	readonly #sandboxes = new Map<string, ShimSandbox & {readonly exited: PromiseWithResolvers<Date>}>();

	constructor(shim: Shim) {
		this.#shim = shim;
	}

	get size(): number {
		return this.#sandboxes.size;
	}

	/** Throws NOT_FOUND. */
	get(id: string): ShimSandbox {
		return this.#get(id);
	}

	/** Throws ALREADY_EXISTS. What is made of it is written down in its bundle. */
	create(id: string, {netnsPath, bundle}: Pick<ShimSandbox, 'netnsPath' | 'bundle'>): void {
		parseIdentifier(id, 'sandbox id');
		if (this.#sandboxes.has(id)) {
			throw new KeelsonError('ALREADY_EXISTS', `sandbox ${id}: already exists`);
		}
		const sandbox = {id, bundle, netnsPath, createdAt: new Date(), isStarted: false, exitedAt: undefined};
		record(sandbox);
		this.#sandboxes.set(id, {...sandbox, exited: Promise.withResolvers()});
	}

	/** Takes up a sandbox whose shim is gone, as its bundle has it; does nothing where the bundle says of none. */
	adopt(id: string, bundle: string): void {
		const found = recordedSandbox(bundle);
		if (found === undefined) {
			return;
		}
		const exited = Promise.withResolvers<Date>();
		if (found.exitedAt !== undefined) {
			exited.resolve(found.exitedAt);
		}
		this.#sandboxes.set(id, {...found, id, bundle, exited});
	}

	/** Throws FAILED_PRECONDITION when it has started before. */
	start(id: string): ShimSandbox {
		const sandbox = this.#get(id);
		if (sandbox.isStarted) {
			throw new KeelsonError('FAILED_PRECONDITION', `sandbox ${id} has been started`);
		}
		sandbox.isStarted = true;
		record(sandbox);
		return sandbox;
	}

	platform(id: string): Platform {
		this.#get(id);
		return hostPlatform();
	}

	/** Ends all processes of this shim's containers: by SIGTERM, and by SIGKILL what is left after `timeoutMs`. A second time is harmless. */
	async stop(id: string, timeoutMs: number): Promise<void> {
		const sandbox = this.#get(id);
		if (timeoutMs > 0) {
			await this.#signal(SIGTERM);
			for (const end = performance.now() + timeoutMs; this.#running().length > 0 && performance.now() < end;) {
				await sleep(pollMs);
			}
		}
		await this.#signal(SIGKILL);
		sandbox.exitedAt ??= new Date();
		record(sandbox);
		sandbox.exited.resolve(sandbox.exitedAt);
	}

	async wait(id: string): Promise<Date> {
		return this.#get(id).exited.promise;
	}

	/** What its containers use together. Rejects with NOT_FOUND. */
	async stats(id: string): Promise<Any> {
		this.#get(id);
		// Loaded when first asked for.
		const {sumStats} = await import('./sum-stats.ts');
		return sumStats(this.#shim.containers);
	}

	/** Forgets it. Throws FAILED_PRECONDITION while it has containers. */
	shutdown(id: string): void {
		const sandbox = this.#get(id);
		if (this.#sandboxes.size === 1 && this.#shim.size > 0) {
			throw new KeelsonError('FAILED_PRECONDITION', `sandbox ${id} has ${this.#shim.size} containers`);
		}
		this.#sandboxes.delete(id);
		if (sandbox.bundle !== '') {
			forgetSandbox(sandbox.bundle);
		}
		sandbox.exitedAt ??= new Date();
		sandbox.exited.resolve(sandbox.exitedAt);
	}

	#running(): readonly string[] {
		return this.#shim.containers.filter(({init}) => init.pid !== 0 && init.exit === undefined).map(({id}) => id);
	}

	async #signal(signalNumber: number): Promise<void> {
		await Promise.all(this.#running().map(async id => this.#shim.kill(id, '', signalNumber, signalNumber === SIGKILL).catch((error: unknown) => {
			// It has ended meanwhile.
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
		})));
	}

	#get(id: string): ShimSandbox & {readonly exited: PromiseWithResolvers<Date>} {
		const sandbox = this.#sandboxes.get(id);
		if (sandbox === undefined) {
			throw new KeelsonError('NOT_FOUND', `sandbox ${id}: not found`);
		}
		return sandbox;
	}
}

function record(sandbox: ShimSandbox): void {
	if (sandbox.bundle !== '') {
		recordSandbox(sandbox.bundle, sandbox);
	}
}
