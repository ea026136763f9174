import {SandboxDefinition} from '../../../api/gen/runtime/sandbox/v1/sandbox.ts';
import type {TaskDefinition} from '../../../api/gen/runtime/task/v3/shim.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';
import {connectTtrpc, type TtrpcClient} from '../../../lib/ttrpc/client.ts';
import {ttrpcClientFor, type TypedClient} from '../../../lib/ttrpc/typed-service.ts';
import {taskV2, taskV3} from '../protocol/task-definition.ts';
import type {ShimAddress} from './bundle.ts';
import type {ShimProgram} from './shim-program.ts';
import {ShimPulse} from './shim-pulse.ts';

export type TaskClient = TypedClient<TaskDefinition>;
/** In the order in which they count, where one shim has several connections. */
export const shimStates = ['quarantined', 'flooding', 'healthy'] as const;
export type ShimState = (typeof shimStates)[number];
export type SandboxClient = TypedClient<SandboxDefinition>;

/** Of a shim that sends what nobody asked for; one with its containers full of life sends a tenth of it. */
const framesPerSecond = 2000;

/** A shim that serves, and our connection to it. */
export class RunningShim implements AsyncDisposable {
	readonly program: ShimProgram;
	readonly namespace: string;
	readonly address: ShimAddress;
	/** May take containers beside the one that it was started for. */
	readonly isShared: boolean;
	/** Resolves when the connection has ended, by either side. */
	readonly closed: Promise<void>;
	/** Ids of the containers in it. */
	readonly containers = new Set<string>();
	readonly task: TaskClient;
	/** Where the shim has such a service. */
	readonly sandbox: SandboxClient;
	/** Whether it answers. */
	readonly pulse: ShimPulse;
	readonly #client: TtrpcClient;

	private constructor(client: TtrpcClient, facts: ShimFacts) {
		this.program = facts.program;
		this.namespace = facts.namespace;
		this.address = facts.address;
		this.isShared = facts.isShared;
		this.#client = client;
		this.closed = client.closed;
		this.task = ttrpcClientFor(facts.address.version === 3 ? taskV3 : taskV2, client);
		this.sandbox = ttrpcClientFor(SandboxDefinition, client);
		const {log, silenceMs, namespace, address: {address}} = facts;
		this.pulse = new ShimPulse({
			silenceMs,
			closed: client.closed,
			// Every shim answers it, if only that it has no such container.
			ping: async timeoutMs => void await this.task.connect({id: ''}, {timeoutMs}),
			told: (isQuarantined, silentMs) => log.warn(isQuarantined ? 'a shim does not answer: it is in quarantine' : 'a shim answers again', {
				namespace, address, containers: [...this.containers], seconds: Math.round(silentMs / 1000),
			}),
		});
	}

	/** Rejects with NOT_FOUND or UNAVAILABLE when nobody answers there, DEADLINE_EXCEEDED or CANCELLED by the signal. */
	static async connect(facts: ShimFacts, signal: AbortSignal): Promise<RunningShim> {
		const {log, namespace, address: {address}} = facts;
		let isTold = false;
		const flooded = (): void => {
			if (!isTold) {
				isTold = true;
				log.warn('a shim floods this daemon: no more of what it sends is read than it may', {namespace, address, frames_per_second: framesPerSecond});
			}
		};
		return new RunningShim(await connectTtrpc(address.replace(/^unix:\/\//, ''), {signal, framesPerSecond, flooded}), facts);
	}

	/** How it stands with us. */
	get state(): ShimState {
		return this.pulse.isQuarantined ? 'quarantined' : this.#client.isFlooding ? 'flooding' : 'healthy';
	}

	get isClosed(): boolean {
		return this.#client.isClosed;
	}

	/** Asks it to end, which it does when it is empty. What it answers makes no difference. */
	async shutdown(id: string, timeoutMs: number): Promise<void> {
		try {
			await this.task.shutdown({id, now: false}, {timeoutMs});
		} catch (error) {
			// It has closed the connection, or hangs: the caller lets go of it either way.
			if (!(error instanceof KeelsonError)) {
				throw error;
			}
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client[Symbol.asyncDispose]();
	}
}

export interface ShimFacts {
	readonly program: ShimProgram;
	readonly namespace: string;
	readonly address: ShimAddress;
	readonly isShared: boolean;
	/** After so many milliseconds without an answer it is in quarantine. */
	readonly silenceMs: number;
	readonly log: Logger;
}
