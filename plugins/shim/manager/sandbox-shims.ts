import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import type {CreateSandbox} from '../../../contracts/sandbox/sandbox.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';
import {Bundle, type BundlePlace} from './bundle.ts';
import type {Deadlines} from './deadlines.ts';
import {LogPipe} from './log-pipe.ts';
import {findRuntimeBinary, type RuntimeSearch} from './runtime-binary.ts';
import {RunningShim} from './running-shim.ts';
import {prefixed} from './shim-errors.ts';
import type {ShimProgram} from './shim-program.ts';

export interface SandboxShimsOptions {
	readonly place: BundlePlace;
	readonly search: RuntimeSearch;
	readonly program: (binary: string) => ShimProgram;
	readonly deadlines: Deadlines;
	readonly log: Logger;
}

interface Known {
	readonly shim: RunningShim;
	readonly logPipe: LogPipe;
}

/** The shims of sandboxes: each has one of its own, which is found by its bundle, after a restart of the daemon too. */
export class SandboxShims implements AsyncDisposable {
	readonly #options: SandboxShimsOptions;
	readonly #known = new Map<string, Promise<Known>>();

	constructor(options: SandboxShimsOptions) {
		this.#options = options;
	}

	get deadlines(): Deadlines {
		return this.#options.deadlines;
	}

	/** Starts a shim and makes the sandbox in it. Rejects with ALREADY_EXISTS; on failure nothing is left. */
	async create(namespace: string, sandbox: CreateSandbox, signal: AbortSignal): Promise<void> {
		const {search, program, deadlines, log} = this.#options;
		const {id, runtime, spec, rootfs, options, netnsPath, annotations} = sandbox;
		const bundle = this.#bundle(namespace, id);
		const binary = await findRuntimeBinary(runtime.name || 'io.containerd.runc.v2', search);
		await using half = new AsyncDisposableStack();
		await bundle.create(spec === undefined || spec.value.length === 0 ? Buffer.from('{}') : spec.value, {rootGid: undefined, shimBinary: binary});
		half.defer(async () => bundle.remove());
		const logPipe = half.use(await this.#openLog(bundle));
		try {
			const both = AbortSignal.any([signal, AbortSignal.timeout(deadlines.call)]);
			const address = await program(binary).start({namespace, id, bundle: bundle.path, options: runtime.options, signal: both});
			await bundle.writeAddress(address);
			const shim = half.use(await RunningShim.connect({program: program(binary), namespace, address, isShared: false, log, silenceMs: deadlines.load}, AbortSignal.timeout(deadlines.load)));
			half.defer(async () => {
				await shim.shutdown(id, deadlines.shutdown);
				await this.#cleanUp(bundle);
			});
			await shim.sandbox.createSandbox({sandboxId: id, bundlePath: bundle.path, rootfs, options, netnsPath, annotations}, {timeoutMs: deadlines.call, signal});
			this.#known.set(key(namespace, id), Promise.resolve({shim, logPipe}));
		} catch (error) {
			throw prefixed('failed to create sandbox', error);
		}
		half.move();
	}

	/** Rejects with NOT_FOUND when there is no such sandbox, UNAVAILABLE when its shim is gone. */
	async find(namespace: string, id: string): Promise<RunningShim> {
		const at = key(namespace, id);
		const known = await this.#known.get(at);
		if (known !== undefined && !known.shim.isClosed) {
			return known.shim;
		}
		known?.logPipe[Symbol.dispose]();
		return (await this.#keep(at, this.#connect(this.#bundle(namespace, id)))).shim;
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

	async #keep(at: string, opening: Promise<Known>): Promise<Known> {
		this.#known.set(at, opening);
		try {
			return await opening;
		} catch (error) {
			if (this.#known.get(at) === opening) {
				this.#known.delete(at);
			}
			throw error;
		}
	}

	async #connect(bundle: Bundle): Promise<Known> {
		const {program, deadlines, log} = this.#options;
		const [address, binary] = await Promise.all([bundle.readAddress(), bundle.readShimBinary()]);
		if (address === undefined || binary === undefined) {
			throw new KeelsonError('NOT_FOUND', `sandbox ${bundle.id}: not found`);
		}
		using half = new DisposableStack();
		const logPipe = half.use(await this.#openLog(bundle));
		try {
			const shim = await RunningShim.connect({program: program(binary), namespace: bundle.namespace, address, isShared: false, log, silenceMs: deadlines.load}, AbortSignal.timeout(deadlines.load));
			half.move();
			return {shim, logPipe};
		} catch (error) {
			// The socket has gone with the shim; the sandbox has not.
			const {code, message} = KeelsonError.from(error);
			throw code === 'NOT_FOUND' ? new KeelsonError('UNAVAILABLE', message, {cause: error}) : error;
		}
	}

	async #cleanUp(bundle: Bundle): Promise<void> {
		const {program, deadlines, log} = this.#options;
		const {namespace, id, path} = bundle;
		const binary = await bundle.readShimBinary();
		try {
			if (binary !== undefined) {
				await program(binary).delete({namespace, id, bundle: path, signal: AbortSignal.timeout(deadlines.cleanup * 2)});
			}
		} catch (error) {
			log.debug('the shim of a sandbox could not clean up', {namespace, sandbox: id, error});
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
