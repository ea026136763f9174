import {chmod, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {Config} from './config.ts';
import {emptyContainer, type Container} from './container.ts';
import {within} from './deadline.ts';
import {KeelsonError} from './errors.ts';
import {diagnose, whereOf, type Diagnosis} from './diagnosis.ts';
import type {Loaded} from './loader.ts';
import type {Logger} from './log.ts';
import type {DaemonFacts, Plugin} from './plugin.ts';
import type {Requirement} from './requirement.ts';
import {StatusBoard, type KernelStatus} from './status.ts';

const INIT_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;

export interface BootOptions {
	readonly loaded: Loaded;
	readonly config: Config;
	readonly log: Logger;
	readonly version?: string;
	readonly revision?: string;
	/** Path of the daemon's launcher. */
	readonly binary?: string;
	/** Aborting it ends a boot that is under way. */
	readonly signal?: AbortSignal;
	/** Milliseconds that stopping may take in all; a single plugin may take half of it. The default is 10,000. */
	readonly stopTimeoutMs?: number;
}

/** A kernel whose plugins have started. Disposing stops them in reverse order, once. */
export interface Running extends AsyncDisposable {
	readonly status: KernelStatus;
}

interface Started {
	readonly id: string;
	readonly stop: () => Promise<void>;
}

/**
 * Starts plugins in the order of their requirements. One that fails is logged and leaves out those that require it; rejects, with
 * everything stopped again, when `required_plugins` has it, when the signal aborts, or under `strict` when a key is unknown.
 */
export async function boot(options: BootOptions): Promise<Running> {
	const kernel = new Kernel(options);
	try {
		await kernel.start();
	} catch (error) {
		await kernel[Symbol.asyncDispose]();
		throw error;
	}
	return kernel;
}

class Kernel implements Running {
	readonly status = new StatusBoard();
	readonly #options: BootOptions;
	readonly #log: Logger;
	readonly #facts: DaemonFacts;
	readonly #services = emptyContainer();
	readonly #started: Started[] = [];
	readonly #stopping = new AbortController();
	readonly #booted = Promise.withResolvers<void>();
	#stopped: Promise<void> | undefined;

	constructor(options: BootOptions) {
		this.#options = options;
		this.#log = options.log;
		const {config: {daemon}, version = '0.0.0', revision = '', binary = process.argv[1] ?? ''} = options;
		this.#facts = Object.freeze({version, revision, binary, root: daemon.root, state: daemon.state, config: daemon});
	}

	async start(): Promise<void> {
		const {loaded, config, signal} = this.#options;
		const {order, tables, problems, failures, required, unknown} = await diagnose(config, loaded);
		for (const message of unknown) {
			this.#log.warn(message);
		}
		for (const {id, error} of failures) {
			this.#log.error(error.message, {id});
		}
		const [reason] = [...unknown, ...failures.map(({error}) => error.message)];
		if (config.daemon.strict && reason !== undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `config is strict, and ${reason}`);
		}
		for (const {id, error} of failures) {
			this.status.addFailed(id, error);
		}
		for (const plugin of order) {
			this.status.add(plugin);
		}
		for (const plugin of order) {
			signal?.throwIfAborted();
			await this.#startOne(plugin, tables.get(plugin)?.value, problems.get(plugin));
		}
		await this.#insist(required);
		this.#booted.resolve();
	}

	/** Rejects when a required plugin is not there, naming all of them. */
	async #insist(required: Diagnosis['required']): Promise<void> {
		const reasons: string[] = [];
		for (const [name, plugins] of required) {
			const bad = plugins.map(({id}) => this.status.get(id)).find(({state}) => state !== 'started');
			if (bad !== undefined || plugins.length === 0) {
				const place = await this.#options.config.places.ofItem('required_plugins', name);
				reasons.push(`${name}${place}: ${bad?.error?.message ?? 'no module provides it, or it is disabled'}`);
			}
		}
		if (reasons.length > 0) {
			throw new KeelsonError('FAILED_PRECONDITION', `required plugins did not start: ${reasons.join('; ')}`);
		}
	}

	async #startOne(plugin: Plugin, config: unknown, problem: KeelsonError | undefined): Promise<void> {
		const {id, provides: {type}} = plugin;
		const log = this.#log.with({id, type});
		const start = performance.now();
		try {
			this.status.set(id, {state: 'starting'});
			const broken = problem ?? this.#brokenProvider(plugin);
			if (broken !== undefined) {
				throw broken;
			}
			const service = await this.#init(plugin, config);
			for (const token of [type, id]) {
				this.#services.register(token, {useFactory: () => service});
			}
			const initMs = performance.now() - start;
			this.status.set(id, {state: 'started', initMs});
			log.debug('plugin started', {init_ms: Math.round(initMs)});
		} catch (error) {
			this.#options.signal?.throwIfAborted();
			const isSkipped = error instanceof Skipped;
			this.status.set(id, {state: isSkipped ? 'skipped' : 'failed', error: error instanceof Error ? error : new Error(String(error)), initMs: performance.now() - start});
			log[isSkipped ? 'info' : 'error'](isSkipped ? 'skip loading plugin' : 'failed to load plugin', {error: isSkipped ? error.message : error});
		}
	}

	#brokenProvider({id, requires}: Plugin): Error | undefined {
		for (const {want, contract: {type}} of Object.values(requires)) {
			const provider = this.status.plugins().find((status) => want === 'one' && status.type === type);
			if (provider !== undefined && provider.state !== 'started') {
				const message = `plugin ${id} requires ${type}, and plugin ${provider.id} is ${provider.state}: ${provider.error?.message}`;
				return provider.state === 'skipped' ? new Skipped(message) : new KeelsonError('FAILED_PRECONDITION', message, {cause: provider.error});
			}
		}
		return undefined;
	}

	async #init(plugin: Plugin, config: unknown): Promise<unknown> {
		const {id, initTimeoutMs = INIT_TIMEOUT_MS} = plugin;
		const {loaded, config: whole, signal} = this.#options;
		const {root, state} = whole.daemon;
		const lifetime = new AsyncDisposableStack();
		const own = emptyContainer();
		const late = new AbortController();
		this.#started.push({id, stop: async () => {
			await lifetime.disposeAsync();
			await own.dispose();
		}});
		const services = Object.fromEntries(Object.entries(plugin.requires).map(([name, requirement]) => [name, this.#answer(requirement)]));
		for (const [name, {contract: {type}}] of Object.entries(plugin.requires)) {
			own.register(type, {useFactory: () => services[name]});
		}
		const paths = {root: join(root, id), state: join(state, id)};
		await mkdir(paths.root, {recursive: true, mode: 0o700});
		if (await mkdir(paths.state, {recursive: true, mode: 0o711}) !== undefined) {
			// The umask may have taken the bits with which others pass through.
			await chmod(paths.state, 0o711);
		}
		try {
			const work = (async () => plugin.init({
				config, services, ...paths, lifetime, container: own,
				daemon: this.#facts,
				signal: AbortSignal.any([this.#stopping.signal, late.signal]),
				log: this.#log.with({plugin: id}),
				status: this.status,
				booted: this.#booted.promise,
				skip(reason) {
					throw new Skipped(`skip plugin: ${reason}`);
				},
			}))();
			return await within(work, initTimeoutMs, async () => new KeelsonError('DEADLINE_EXCEEDED', `plugin ${id}${await whereOf(plugin, whole, loaded)} is not ready after `
				+ `${initTimeoutMs} ms: it waits for something that does not answer (a socket, a lock, a host), or its init does work that belongs after it`), signal);
		} catch (error) {
			late.abort(error);
			await this.#stop(this.#started.pop(), STOP_TIMEOUT_MS);
			throw error;
		}
	}

	#answer({want, contract: {type}}: Requirement): unknown {
		const services: Container = this.#services;
		if (want === 'all') {
			const started = this.status.plugins().filter((status) => status.type === type && status.state === 'started');
			return new Map(started.map(({id, name}) => [name, services.resolve(id)]));
		}
		return services.isRegistered(type) ? services.resolve(type) : undefined;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.#stopped ??= this.#stopAll();
	}

	async #stopAll(): Promise<void> {
		const {stopTimeoutMs = STOP_TIMEOUT_MS} = this.#options;
		const end = performance.now() + stopTimeoutMs;
		this.#stopping.abort(new KeelsonError('CANCELLED', 'the daemon stops'));
		this.#booted.resolve();
		for (let started = this.#started.pop(); started !== undefined; started = this.#started.pop()) {
			// Whoever comes after one that hangs still gets a moment to put its things in order.
			await this.#stop(started, Math.max(Math.min(end - performance.now(), stopTimeoutMs / 2), 50));
		}
	}

	async #stop(started: Started | undefined, timeoutMs: number): Promise<void> {
		if (started === undefined) {
			return;
		}
		const {id, stop} = started;
		try {
			await within(stop(), timeoutMs, () => new KeelsonError('DEADLINE_EXCEEDED', `plugin ${id} has not stopped after ${Math.round(timeoutMs)} ms`));
		} catch (error) {
			this.#log.error('failed to stop plugin', {id, error});
		}
		if (this.status.get(id).state === 'started') {
			this.status.set(id, {state: 'stopped'});
		}
	}
}

class Skipped extends Error {
	override readonly name = 'Skipped';
}
