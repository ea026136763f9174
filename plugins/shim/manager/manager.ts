import {Any as AnyMessage} from '../../../api/gen/google/protobuf/any.ts';
import type {Differ} from '../../../contracts/diff/diff.ts';
import type {EventBus} from '../../../contracts/event/event.ts';
import type {Metadata} from '../../../contracts/metadata/metadata.ts';
import type {MountManager} from '../../../contracts/mount-manager/mount-manager.ts';
import type {Network, NetworkNamespaces} from '../../../contracts/network/network.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import type {SandboxController} from '../../../contracts/sandbox/sandbox.ts';
import type {TaskManager, Tasks} from '../../../contracts/task/task.ts';
import type {Logger} from '../../../kernel/log.ts';
import type {BundlePlace} from './bundle.ts';
import type {Deadlines} from './deadlines.ts';
import {NamespaceTasks} from './namespace-tasks.ts';
import {recoverTasks} from './recover.ts';
import {withOciRuntime} from './oci-runtime-option.ts';
import {findRuntimeBinary, type RuntimeSearch} from './runtime-binary.ts';
import type {RunningShim} from './running-shim.ts';
import {ShimSandboxController} from './sandbox-controller.ts';
import {ShimPool} from './shim-pool.ts';
import {ShimProgram, type ShimEnvironment} from './shim-program.ts';
import {StartProtocols} from './start-protocols.ts';
import {TaskMounts} from './task-mounts.ts';
import {TaskNetworks} from './task-networks.ts';
import {TaskRegistry} from './task-registry.ts';
import {TaskWorld} from './task-world.ts';
import {recordToldExits} from './told-exits.ts';
import {WarmSpare} from './warm-spare.ts';

export interface ShimTaskManagerOptions {
	readonly metadata: Metadata;
	readonly events: EventBus;
	readonly namespaces: NetworkNamespaces;
	readonly networks: ReadonlyMap<string, Network>;
	/** Undefined where none is loaded: mounts are then as runtimes can perform them, or a create fails. */
	readonly mounts: MountManager | undefined;
	readonly differ: Differ | undefined;
	readonly place: BundlePlace;
	readonly environment: Omit<ShimEnvironment, 'hasWarmSpare'>;
	readonly search: RuntimeSearch;
	readonly sandboxes: ReadonlyMap<string, SandboxController>;
	readonly deadlines: Deadlines;
	readonly containersPerShim: number;
	readonly spareMs: number;
	/** Whether a shim's process waits for the next that needs one. */
	readonly hasWarmSpare: boolean;
	/** Tasks of an earlier daemon are known at once, and looked after once it resolves. */
	readonly begin: Promise<void>;
	readonly log: Logger;
}

/** Tasks in shims, which go on when this process does not. */
export class ShimTaskManager implements TaskManager, AsyncDisposable {
	readonly #metadata: Metadata;
	readonly #pool: ShimPool;
	readonly #world: TaskWorld;
	readonly #warm: WarmSpare | undefined;
	readonly #controllers: readonly ShimSandboxController[];
	readonly #closing = new AbortController();
	/** Resolves when every task of an earlier daemon has been decided upon. */
	#recovered: Promise<void> = Promise.resolve();

	private constructor({metadata, events, namespaces, networks, mounts, differ, place, environment: given, search, sandboxes, deadlines, containersPerShim, spareMs, hasWarmSpare, log}: ShimTaskManagerOptions) {
		this.#metadata = metadata;
		const {grpcAddress} = given;
		const environment = {...given, hasWarmSpare};
		const protocols = new StartProtocols(search.own);
		this.#warm = hasWarmSpare && grpcAddress !== '' ? new WarmSpare({program: new ShimProgram(search.own, environment, protocols), grpcAddress, log}) : undefined;
		this.#pool = new ShimPool({containersPerShim, spareMs, deadlines, log, warm: this.#warm, lost: shim => this.#lost(shim)});
		const own = this.#controllers = [...sandboxes.values()].filter(controller => controller instanceof ShimSandboxController);
		this.#world = new TaskWorld({
			place, events, differ, search, sandboxes, deadlines, log,
			registry: new TaskRegistry(),
			pool: this.#pool,
			networks: new TaskNetworks(namespaces, networks, log),
			mounts: new TaskMounts(mounts, log),
			sandboxesAt: async (namespace, address) => (await Promise.all(own.map(async controller => controller.at(namespace, address)))).flat(),
			program: binary => new ShimProgram(binary, environment, protocols),
		});
		if (this.#warm !== undefined) {
			// Whatever launcher a sandbox was started with: the spare is started with this.
			const program = this.#world.program(search.own);
			own.forEach(controller => controller.inheritBy(async (namespace, address) => this.#world.succession.ofSandbox({program, namespace, address, isShared: false})));
		}
	}

	/** Knows all tasks of an earlier daemon when it resolves; connects to their shims afterwards, and waits for none. */
	static async open(options: ShimTaskManagerOptions): Promise<ShimTaskManager> {
		const manager = new ShimTaskManager(options);
		const {done} = await recoverTasks(manager.#world, {begin: options.begin, signal: manager.#closing.signal});
		manager.#recovered = done;
		void recordToldExits(options.events, options.place, {signal: manager.#closing.signal, passed: () => manager.#warm?.ended()});
		return manager;
	}

	get recovered(): Promise<void> {
		return this.#recovered;
	}

	/** The shims that are connected, those of sandboxes too; a shim may be there more than once. */
	async shims(): Promise<readonly RunningShim[]> {
		return [...this.#pool.shims, ...(await Promise.all(this.#controllers.map(async controller => controller.shims()))).flat()];
	}

	tasks(namespace: string): Tasks {
		return new NamespaceTasks(this.#world, this.#metadata, namespace);
	}

	async runtimeInfo({runtimePath, options}: {readonly runtimePath: string; readonly options?: Any}, signal?: AbortSignal): Promise<Any> {
		const {search, deadlines} = this.#world;
		const name = runtimePath === '' ? 'io.containerd.runc.v2' : runtimePath;
		const binary = await findRuntimeBinary(name, search);
		const chosen = withOciRuntime(options, name, binary, search);
		const late = AbortSignal.timeout(deadlines.call);
		const input = chosen === undefined ? new Uint8Array(0) : AnyMessage.encode(chosen).finish();
		const value = await this.#world.program(binary).info(input, signal === undefined ? late : AbortSignal.any([signal, late]));
		return {typeUrl: 'containerd.types.RuntimeInfo', value};
	}

	/** Lets go of shims; those with containers go on. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		await this.#pool[Symbol.asyncDispose]();
		await this.#warm?.[Symbol.asyncDispose]();
		for (const {logPipe} of this.#world.registry.all()) {
			logPipe?.[Symbol.dispose]();
		}
	}

	#lost(shim: RunningShim): void {
		this.#world.succession.of(shim).catch((error: unknown) => {
			this.#world.log.error('containers of a shim that is gone stay unknown', {namespace: shim.namespace, containers: [...shim.containers], error});
		});
	}
}
