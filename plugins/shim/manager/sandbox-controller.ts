import type {Any} from '../../../contracts/oci/any.ts';
import type {Platform} from '../../../contracts/oci/platform.ts';
import type {CreateSandbox, SandboxController, Sandboxes, SandboxExit, SandboxStatus, StartedSandbox} from '../../../contracts/sandbox/sandbox.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {CallOptions} from '../../../lib/ttrpc/call.ts';
import {sandboxState} from '../protocol/sandbox-state.ts';
import {fromTimestamp} from '../protocol/timestamp.ts';
import type {RunningShim} from './running-shim.ts';
import type {SandboxShims} from './sandbox-shims.ts';
import {isShimGone} from './shim-errors.ts';

/** The deadline of a stop is the shim's own time and this much more. */
const stopGraceMs = 10_000;

/** Sandboxes in shims that have the sandbox service: ours, and containerd's since 1.7. */
export class ShimSandboxController implements SandboxController {
	readonly #shims: SandboxShims;

	constructor(shims: SandboxShims) {
		this.#shims = shims;
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
		const shim = await this.#find(id);
		const {pid, createdAt, spec} = await shim.sandbox.startSandbox({sandboxId: id}, this.#options(signal));
		return {pid, createdAt: fromTimestamp(createdAt) ?? new Date(), ...addressOf(shim), ...(spec === undefined ? {} : {spec})};
	}

	async platform(id: string, signal?: AbortSignal): Promise<Platform> {
		const {platform} = await (await this.#find(id)).sandbox.platform({sandboxId: id}, this.#options(signal));
		if (platform === undefined) {
			throw new KeelsonError('INTERNAL', `the shim of sandbox ${id} names no platform`);
		}
		const {os, architecture, variant} = platform;
		return {os, architecture, variant};
	}

	async stop(id: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
		await this.#unlessGone(async () => {
			const shim = await this.#find(id);
			await shim.sandbox.stopSandbox({sandboxId: id, timeoutSecs: Math.ceil(timeoutMs / 1000)}, {timeoutMs: timeoutMs + stopGraceMs, signal});
		});
	}

	async wait(id: string, signal?: AbortSignal): Promise<SandboxExit> {
		const exit = await this.#unlessGone(async () => (await this.#find(id)).sandbox.waitSandbox({sandboxId: id}, {signal}));
		return exit === undefined
			? {exitStatus: 255, exitedAt: new Date()}
			: {exitStatus: exit.exitStatus, exitedAt: fromTimestamp(exit.exitedAt) ?? new Date()};
	}

	async status(id: string, isVerbose: boolean, signal?: AbortSignal): Promise<SandboxStatus> {
		const found = await this.#unlessGone(async () => {
			const shim = await this.#find(id);
			return {...await shim.sandbox.sandboxStatus({sandboxId: id, verbose: isVerbose}, {timeoutMs: this.#shims.deadlines.state, signal}), ...addressOf(shim)};
		});
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
		const done = await this.#unlessGone(async () => {
			const shim = await this.#find(id);
			return shim.sandbox.shutdownSandbox({sandboxId: id}, this.#options(signal));
		});
		await this.#shims.remove(this.#namespace, id, {isGone: done === undefined});
	}

	/** The shims' protocol has nothing to tell it by, in containerd neither. */
	async update(id: string): Promise<void> {
		await this.#unlessGone(async () => this.#find(id));
	}

	async metrics(id: string, signal?: AbortSignal): Promise<{readonly timestamp: Date; readonly data?: Any}> {
		const {metrics} = await (await this.#find(id)).sandbox.sandboxMetrics({sandboxId: id}, this.#options(signal));
		return {timestamp: fromTimestamp(metrics?.timestamp) ?? new Date(), ...(metrics?.data === undefined ? {} : {data: metrics.data})};
	}

	async #find(id: string): Promise<RunningShim> {
		return this.#shims.find(this.#namespace, id);
	}

	#options(signal: AbortSignal | undefined): CallOptions {
		return {timeoutMs: this.#shims.deadlines.call, signal};
	}

	/** Undefined when the shim has ended before it answered. */
	async #unlessGone<T>(call: () => Promise<T>): Promise<T | undefined> {
		try {
			return await call();
		} catch (error) {
			if (isShimGone(error)) {
				return undefined;
			}
			throw error;
		}
	}
}

function addressOf({address: {address, version}}: RunningShim): {readonly address: string; readonly version: number} {
	return {address, version};
}
