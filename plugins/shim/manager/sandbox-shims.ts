import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import type {CreateSandbox} from '../../../contracts/sandbox/sandbox.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';
import {recordedSandbox} from '../protocol/sandbox-record.ts';
import {Bundle, type BundlePlace, type ShimAddress} from './bundle.ts';
import {removeDeadSocket} from './dead-socket.ts';
import type {Deadlines} from './deadlines.ts';
import {LogPipe} from './log-pipe.ts';
import {findRuntimeBinary, type RuntimeSearch} from './runtime-binary.ts';
import {RunningShim} from './running-shim.ts';
import {isShimGone, prefixed} from './shim-errors.ts';
import type {ShimProgram} from './shim-program.ts';

export interface SandboxShimsOptions {
	readonly place: BundlePlace;
	readonly search: RuntimeSearch;
	/** @param hasWarmSpare whether the shim is to hand copies to a spare of what must outlive it */
	readonly program: (binary: string, hasWarmSpare: boolean) => ShimProgram;
	readonly deadlines: Deadlines;
	readonly log: Logger;
}

interface Known {
	readonly shim: RunningShim;
	readonly logPipe: LogPipe;
}

/** Resolves when what answered at an address has been succeeded, or nobody could. */
export type Revive = (namespace: string, address: ShimAddress) => Promise<void>;

/** The shims of sandboxes: each has one of its own, which is found by its bundle, after a restart of the daemon too. */
export class SandboxShims implements AsyncDisposable {
	readonly #options: SandboxShimsOptions;
	readonly #known = new Map<string, Promise<Known>>();
	#revive: Revive | undefined;

	constructor(options: SandboxShimsOptions) {
		this.#options = options;
	}

	get deadlines(): Deadlines {
		return this.#options.deadlines;
	}

	/** From now on a shim of ours that is gone has an heir. */
	inheritBy(revive: Revive): void {
		this.#revive = revive;
	}

	/** The sandboxes of ours whose shim answers, or did, at an address, and which were not shut down. */
	async at(namespace: string, {address}: ShimAddress): Promise<readonly {readonly id: string; readonly bundle: string}[]> {
		const bundles = (await Bundle.list(this.#options.place)).filter(bundle => bundle.namespace === namespace);
		const found = await Promise.all(bundles.map(async bundle => (await bundle.readAddress())?.address === address && recordedSandbox(bundle.path) !== undefined));
		return bundles.filter((_, index) => found[index]).map(({id, path}) => ({id, bundle: path}));
	}

	/** Those that are connected. */
	async shims(): Promise<readonly RunningShim[]> {
		const all = await Promise.allSettled(this.#known.values());
		return all.flatMap(one => one.status === 'fulfilled' && !one.value.shim.isClosed ? one.value.shim : []);
	}

	/** Starts a shim and makes the sandbox in it. Rejects with ALREADY_EXISTS; on failure nothing is left. */
	async create(namespace: string, sandbox: CreateSandbox, signal: AbortSignal): Promise<void> {
		const {search, deadlines} = this.#options;
		const {id, runtime, spec, rootfs, options, netnsPath, annotations} = sandbox;
		const bundle = this.#bundle(namespace, id);
		const binary = await findRuntimeBinary(runtime.name || 'io.containerd.runc.v2', search);
		await using half = new AsyncDisposableStack();
		await bundle.create(spec === undefined || spec.value.length === 0 ? Buffer.from('{}') : spec.value, {rootGid: undefined, shimBinary: binary});
		half.defer(async () => bundle.remove());
		const logPipe = half.use(await this.#openLog(bundle));
		try {
			const both = AbortSignal.any([signal, AbortSignal.timeout(deadlines.call)]);
			const address = await this.#program(binary).start({namespace, id, bundle: bundle.path, options: runtime.options, signal: both});
			await bundle.writeAddress(address);
			const shim = half.use(await this.#join(bundle, binary, address));
			half.defer(async () => {
				await shim.shutdown(id, deadlines.shutdown);
				await this.#cleanUp(bundle);
			});
			await shim.pulse.guard(async () => shim.sandbox.createSandbox({sandboxId: id, bundlePath: bundle.path, rootfs, options, netnsPath, annotations}, {timeoutMs: deadlines.call, signal}));
			const opened = Promise.resolve({shim, logPipe});
			this.#known.set(key(namespace, id), opened);
			this.#attend(bundle, shim, opened);
		} catch (error) {
			throw prefixed('failed to create sandbox', error);
		}
		half.move();
	}

	/** Rejects with NOT_FOUND when there is no such sandbox, UNAVAILABLE when its shim is gone. */
	async find(namespace: string, id: string): Promise<RunningShim> {
		const at = key(namespace, id);
		const opened = this.#known.get(at);
		const known = await opened;
		if (known !== undefined && !known.shim.isClosed) {
			return known.shim;
		}
		if (this.#known.get(at) !== opened) {
			// Somebody else has seen it too, and is at it.
			return this.find(namespace, id);
		}
		known?.logPipe[Symbol.dispose]();
		const bundle = this.#bundle(namespace, id);
		const opening = this.#keep(at, this.#open(bundle));
		const {shim} = await opening;
		this.#attend(bundle, shim, opening);
		return shim;
	}

	/** Takes away shim and bundle; what a shim that is gone has left, its binary takes away. */
	async remove(namespace: string, id: string, {isGone}: {readonly isGone: boolean}): Promise<void> {
		const bundle = this.#bundle(namespace, id);
		const known = await this.#known.get(key(namespace, id))?.catch(() => undefined);
		this.#known.delete(key(namespace, id));
		if (known !== undefined && !known.shim.isClosed) {
			await known.shim.shutdown(id, this.#options.deadlines.shutdown);
		}
		await known?.shim[Symbol.asyncDispose]();
		known?.logPipe[Symbol.dispose]();
		if (isGone) {
			await this.#cleanUp(bundle);
		}
		await bundle.remove();
	}

	/** Lets go of the shims, which go on. */
	async [Symbol.asyncDispose](): Promise<void> {
		const all = [...this.#known.values()];
		this.#known.clear();
		await Promise.all(all.map(async one => {
			const known = await one.catch(() => undefined);
			await known?.shim[Symbol.asyncDispose]();
			known?.logPipe[Symbol.dispose]();
		}));
	}

	#bundle(namespace: string, id: string): Bundle {
		return new Bundle(this.#options.place, namespace, parseIdentifier(id, 'sandbox id'));
	}

	/** A failure is kept for those who wait for it now, and for nobody after them. */
	#keep(at: string, opening: Promise<Known>): Promise<Known> {
		this.#known.set(at, opening);
		opening.catch(() => {
			if (this.#known.get(at) === opening) {
				this.#known.delete(at);
			}
		});
		return opening;
	}

	/** When a shim of ours ends that nobody has asked to, its sandbox goes on in another. */
	#attend(bundle: Bundle, shim: RunningShim, opened: Promise<Known>): void {
		void shim.closed.then(async () => {
			if (this.#revive !== undefined && this.#known.get(key(bundle.namespace, bundle.id)) === opened && recordedSandbox(bundle.path) !== undefined) {
				await this.find(bundle.namespace, bundle.id);
			}
		}).catch((error: unknown) => {
			this.#options.log.warn('the shim of a sandbox is gone, and nobody takes its place', {namespace: bundle.namespace, sandbox: bundle.id, error});
		});
	}

	/** Connects to the shim; to its heir, where it is gone and there is one. */
	async #open(bundle: Bundle): Promise<Known> {
		try {
			return await this.#connect(bundle);
		} catch (error) {
			const address = await bundle.readAddress();
			if (this.#revive === undefined || address === undefined || !isShimGone(error) || recordedSandbox(bundle.path) === undefined) {
				throw error;
			}
			await this.#revive(bundle.namespace, address);
			return this.#connect(bundle);
		}
	}

	async #join({namespace}: Bundle, binary: string, address: ShimAddress): Promise<RunningShim> {
		const {deadlines, log} = this.#options;
		return RunningShim.connect({program: this.#program(binary), namespace, address, isShared: false, log, silenceMs: deadlines.load}, AbortSignal.timeout(deadlines.load));
	}

	#program(binary: string): ShimProgram {
		return this.#options.program(binary, this.#revive !== undefined);
	}

	async #connect(bundle: Bundle): Promise<Known> {
		const [address, binary] = await Promise.all([bundle.readAddress(), bundle.readShimBinary()]);
		if (address === undefined || binary === undefined) {
			throw new KeelsonError('NOT_FOUND', `sandbox ${bundle.id}: not found`);
		}
		using half = new DisposableStack();
		const logPipe = half.use(await this.#openLog(bundle));
		try {
			const shim = await this.#join(bundle, binary, address);
			half.move();
			return {shim, logPipe};
		} catch (error) {
			// The socket has gone with the shim; the sandbox has not.
			const {code, message} = KeelsonError.from(error);
			throw code === 'NOT_FOUND' ? new KeelsonError('UNAVAILABLE', message, {cause: error}) : error;
		}
	}

	async #cleanUp(bundle: Bundle): Promise<void> {
		const {deadlines, log} = this.#options;
		const {namespace, id, path} = bundle;
		const binary = await bundle.readShimBinary();
		try {
			if (binary !== undefined) {
				await this.#program(binary).delete({namespace, id, bundle: path, signal: AbortSignal.timeout(deadlines.cleanup * 2)});
			}
		} catch (error) {
			log.debug('the shim of a sandbox could not clean up', {namespace, sandbox: id, error});
		}
		const address = await bundle.readAddress();
		if (address !== undefined) {
			await removeDeadSocket(address);
		}
	}

	async #openLog(bundle: Bundle): Promise<LogPipe> {
		return LogPipe.open(bundle.path, this.#options.log.with({namespace: bundle.namespace, sandbox: bundle.id}));
	}
}

// Neither has a slash in it.
function key(namespace: string, id: string): string {
	return `${namespace}/${id}`;
}
