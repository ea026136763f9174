import type {Any} from '../../../contracts/oci/any.ts';
import type {Platform} from '../../../contracts/oci/platform.ts';
import type {CreateSandbox, SandboxController, Sandboxes, SandboxExit, SandboxStatus, StartedSandbox} from '../../../contracts/sandbox/sandbox.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import type {CallOptions} from '../../../lib/ttrpc/call.ts';
import {sandboxState} from '../protocol/sandbox-state.ts';
import {fromTimestamp} from '../protocol/timestamp.ts';
import type {ShimAddress} from './bundle.ts';
import type {RunningShim} from './running-shim.ts';
import type {Revive, SandboxShims} from './sandbox-shims.ts';
import {isShimGone} from './shim-errors.ts';

/** The deadline of a stop is the shim's own time and this much more. */
const stopGraceMs = 10_000;

/** Sandboxes in shims that have the sandbox service: ours, and containerd's since 1.7. */
export class ShimSandboxController implements SandboxController {
	readonly #shims: SandboxShims;

	constructor(shims: SandboxShims) {
		this.#shims = shims;
	}

	/** From now on a sandbox of our own shim goes on when that is killed. */
	inheritBy(revive: Revive): void {
		this.#shims.inheritBy(revive);
	}

	/** The sandboxes whose shim of ours answers, or did, at an address. */
	async at(namespace: string, address: ShimAddress): ReturnType<SandboxShims['at']> {
		return this.#shims.at(namespace, address);
	}

	/** Those that are connected. */
	async shims(): Promise<readonly RunningShim[]> {
		return this.#shims.shims();
	}

	sandboxes(namespace: string): Sandboxes {
		return new NamespaceSandboxes(this.#shims, namespace);
	}
}

class NamespaceSandboxes implements Sandboxes {
	readonly #shims: SandboxShims;
	readonly #namespace: string;

	constructor(shims: SandboxShims, namespace: string) {
		this.#shims = shims;
		this.#namespace = namespace;
	}

	async create(sandbox: CreateSandbox, signal: AbortSignal = new AbortController().signal): Promise<void> {
		await this.#shims.create(this.#namespace, sandbox, signal);
	}

	async start(id: string, signal?: AbortSignal): Promise<StartedSandbox> {
		const {pid, createdAt, spec, ...address} = await this.#ask(id, async shim => ({...await shim.sandbox.startSandbox({sandboxId: id}, this.#options(signal)), ...addressOf(shim)}));
		return {pid, createdAt: fromTimestamp(createdAt) ?? new Date(), address: address.address, version: address.version, ...(spec === undefined ? {} : {spec})};
	}

	async platform(id: string, signal?: AbortSignal): Promise<Platform> {
		const {platform} = await this.#ask(id, async ({sandbox}) => sandbox.platform({sandboxId: id}, this.#options(signal)));
		if (platform === undefined) {
			throw new KeelsonError('INTERNAL', `the shim of sandbox ${id} names no platform`);
		}
		const {os, architecture, variant} = platform;
		return {os, architecture, variant};
	}

	async stop(id: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
		const request = {sandboxId: id, timeoutSecs: Math.ceil(timeoutMs / 1000)};
		await unlessGone(this.#ask(id, async ({sandbox}) => sandbox.stopSandbox(request, {timeoutMs: timeoutMs + stopGraceMs, signal})));
	}

	async wait(id: string, signal?: AbortSignal): Promise<SandboxExit> {
		const exit = await unlessGone(this.#ask(id, async ({sandbox}) => sandbox.waitSandbox({sandboxId: id}, {signal}), {isPatient: true}));
		return exit === undefined
			? {exitStatus: 255, exitedAt: new Date()}
			: {exitStatus: exit.exitStatus, exitedAt: fromTimestamp(exit.exitedAt) ?? new Date()};
	}

	async status(id: string, isVerbose: boolean, signal?: AbortSignal): Promise<SandboxStatus> {
		const options = {timeoutMs: this.#shims.deadlines.state, signal};
		const found = await unlessGone(this.#ask(id, async shim => ({...await shim.sandbox.sandboxStatus({sandboxId: id, verbose: isVerbose}, options), ...addressOf(shim)})));
		if (found === undefined) {
			return {pid: 0, state: sandboxState.notReady, info: {}, address: '', version: 0};
		}
		const {pid, state, info, createdAt, exitedAt, extra, address, version} = found;
		const [created, exited] = [fromTimestamp(createdAt), fromTimestamp(exitedAt)];
		return {
			pid, state, info, address, version,
			...(created === undefined ? {} : {createdAt: created}), ...(exited === undefined ? {} : {exitedAt: exited}), ...(extra === undefined ? {} : {extra}),
		};
	}

	async shutdown(id: string, signal?: AbortSignal): Promise<void> {
		const done = await unlessGone(this.#ask(id, async ({sandbox}) => sandbox.shutdownSandbox({sandboxId: id}, this.#options(signal))));
		await this.#shims.remove(this.#namespace, id, {isGone: done === undefined});
	}

	/** The shims' protocol has nothing to tell it by, in containerd neither. */
	async update(id: string): Promise<void> {
		await unlessGone(this.#shims.find(this.#namespace, id));
	}

	async metrics(id: string, signal?: AbortSignal): Promise<{readonly timestamp: Date; readonly data?: Any}> {
		const {metrics} = await this.#ask(id, async ({sandbox}) => sandbox.sandboxMetrics({sandboxId: id}, this.#options(signal)));
		return {timestamp: fromTimestamp(metrics?.timestamp) ?? new Date(), ...(metrics?.data === undefined ? {} : {data: metrics.data})};
	}

	#options(signal: AbortSignal | undefined): CallOptions {
		return {timeoutMs: this.#shims.deadlines.call, signal};
	}

	/**
	 * Asks the shim of a sandbox; the one that takes its place, when it dies meanwhile. Rejects with NOT_FOUND, UNAVAILABLE when there is nobody, and
	 * DEADLINE_EXCEEDED when the shim is in quarantine, or is put there meanwhile; not so a patient call, which goes on when the shim does, and with each heir.
	 */
	async #ask<T>(id: string, call: (shim: RunningShim) => Promise<T>, {isPatient = false}: {readonly isPatient?: boolean} = {}): Promise<T> {
		const shim = await this.#shims.find(this.#namespace, id);
		const askOne = async (one: RunningShim): Promise<T> => isPatient ? call(one) : one.pulse.guard(async () => call(one));
		try {
			return await askOne(shim);
		} catch (error) {
			if (!isShimGone(error) || !shim.isClosed) {
				throw error;
			}
			// Shut down meanwhile, it is not there any more: for whoever asked before, it has ended.
			const heir = await this.#shims.find(this.#namespace, id).catch((missing: unknown) => {
				throw isKeelsonError(missing, 'NOT_FOUND') ? error : missing;
			});
			return isPatient ? this.#ask(id, call, {isPatient}) : askOne(heir);
		}
	}
}

/** Undefined when the shim has ended before it answered, and nobody takes its place. */
async function unlessGone<T>(answer: Promise<T>): Promise<T | undefined> {
	try {
		return await answer;
	} catch (error) {
		if (isShimGone(error)) {
			return undefined;
		}
		throw error;
	}
}

function addressOf({address: {address, version}}: RunningShim): {readonly address: string; readonly version: number} {
	return {address, version};
}
