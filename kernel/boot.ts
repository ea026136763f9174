import {chmod, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import type {Checked, Config} from './config.ts';
import {emptyContainer, type Container} from './container.ts';
import {within} from './deadline.ts';
import {KeelsonError} from './errors.ts';
import {planBoot, providersOf} from './graph.ts';
import type {LoadFailure} from './loader.ts';
import type {Logger} from './log.ts';
import {nameOf} from './plugin-id.ts';
import type {DaemonFacts, Plugin} from './plugin.ts';
import type {Requirement} from './requirement.ts';
import {StatusBoard, type KernelStatus} from './status.ts';

const INIT_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;

export interface BootOptions {
	readonly plugins: readonly Plugin[];
	/** Modules and plugins that could not be loaded: they are shown, and fail the boot where they are required. */
	readonly failures?: readonly LoadFailure[];
	readonly config: Config;
	readonly log: Logger;
	readonly version?: string;
	readonly revision?: string;
	/** Path of the daemon's launcher. */
	readonly binary?: string;
	/** Aborting it ends a boot that is under way. */
	readonly signal?: AbortSignal;
	/** Milliseconds that stopping may take in all, and a single plugin at most. */
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
	readonly #services = emptyContainer();
	readonly #parent = emptyContainer();
	readonly #started: Started[] = [];
	readonly #stopping = new AbortController();
	#stopped: Promise<void> | undefined;

	constructor(options: BootOptions) {
		this.#options = options;
		this.#log = options.log;
	}

	async start(): Promise<void> {
		const {plugins, failures = [], config} = this.#options;
		const {disabled_plugins: disabled, required_plugins: required, strict} = config.daemon;
		const {order, problems, duplicates} = planBoot(plugins.filter((each) => !isNamed(each, disabled)), plugins.filter((each) => isNamed(each, disabled)));
		const {tables, unknown} = await config.check(plugins);
		const strangers = await unknownPlugins(config, plugins);
		for (const {message} of [...unknown, ...strangers]) {
			if (strict) {
				throw new KeelsonError('INVALID_ARGUMENT', `config is strict and ${message}`);
			}
			this.#log.warn(message);
		}
		for (const {id, error} of [...failures, ...[...duplicates].map(([{id}, error]) => ({id, error}))]) {
			this.#log.error(error.message, {id});
			if (strict) {
				throw error;
			}
		}
		for (const plugin of order) {
			this.status.add(plugin);
		}
		for (const {id, error} of failures) {
			this.status.addFailed(id, id.slice(0, -(nameOf(id)?.length ?? 0) - 1), error);
		}
		for (const plugin of order) {
			this.#options.signal?.throwIfAborted();
			await this.#startOne(plugin, problems.get(plugin), tables.get(plugin));
		}
		await this.#insist(required);
	}

	/** Rejects when a required plugin is not there. */
	async #insist(required: readonly string[]): Promise<void> {
		const {plugins, config} = this.#options;
		const reasons: string[] = [];
		for (const id of required) {
			const found = this.status.plugins().filter((status) => [status.id, status.name].includes(id)
				|| plugins.some((plugin) => plugin.id === status.id && plugin.aliases?.includes(id) === true));
			const bad = found.find(({state}) => state !== 'started');
			if (bad !== undefined || found.length === 0) {
				reasons.push(`${id}${await config.atItem('required_plugins', id)}: ${bad?.error?.message ?? 'no module provides it, or it is disabled'}`);
			}
		}
		if (reasons.length > 0) {
			throw new KeelsonError('FAILED_PRECONDITION', `required plugins did not start: ${reasons.join('; ')}`);
		}
	}

	async #startOne(plugin: Plugin, problem: KeelsonError | undefined, table: Checked | undefined): Promise<void> {
		const {id, provides: {type}} = plugin;
		const log = this.#log.with({id, type});
		const start = performance.now();
		try {
			this.status.set(id, {state: 'starting'});
			const broken = problem ?? this.#brokenProvider(plugin) ?? table?.error;
			if (broken !== undefined) {
				throw broken;
			}
			const service = await this.#init(plugin, table?.value);
			for (const token of [type, id]) {
				this.#services.register(token, {useFactory: () => service});
			}
			const initMs = performance.now() - start;
			this.status.set(id, {state: 'started', initMs});
			log.debug('plugin started', {init_ms: Math.round(initMs)});
		} catch (error) {
			this.#options.signal?.throwIfAborted();
			const isSkipped = error instanceof Skipped;
			this.status.set(id, {state: isSkipped ? 'skipped' : 'failed', error: error as Error, initMs: performance.now() - start});
			log[isSkipped ? 'info' : 'error'](isSkipped ? 'skip loading plugin' : 'failed to load plugin', {error});
		}
	}

	#brokenProvider({id, requires}: Plugin): Error | undefined {
		for (const {want, contract: {type}} of Object.values(requires)) {
			const [provider] = want === 'one' ? providersOf(type, this.#options.plugins).filter((each) => this.#has(each.id)) : [];
			if (provider !== undefined) {
				const {state, error} = this.status.get(provider.id);
				const message = `plugin ${id} requires ${type}, and plugin ${provider.id} is ${state}: ${error?.message}`;
				if (state === 'skipped') {
					return new Skipped(message);
				}
				if (state !== 'started') {
					return new KeelsonError('FAILED_PRECONDITION', message, {cause: error});
				}
			}
		}
		return undefined;
	}

	#has(id: string): boolean {
		return this.status.plugins().some((status) => status.id === id);
	}

	async #init(plugin: Plugin, config: unknown): Promise<unknown> {
		const {id, initTimeoutMs = INIT_TIMEOUT_MS} = plugin;
		const {root, state} = this.#options.config.daemon;
		const lifetime = new AsyncDisposableStack();
		const own = this.#parent.createChildContainer();
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
				daemon: this.#facts(),
				signal: AbortSignal.any([this.#stopping.signal, late.signal]),
				log: this.#log.with({plugin: id}),
				status: this.status,
				skip(reason) {
					throw new Skipped(`skip plugin: ${reason}`);
				},
			}))();
			return await within(work, initTimeoutMs, () => new KeelsonError('DEADLINE_EXCEEDED', `plugin ${id} is not ready after ${initTimeoutMs} ms: `
				+ 'it waits for something that does not answer (a socket, a lock, a host), or its init does work that belongs after it'), this.#options.signal);
		} catch (error) {
			late.abort(error);
			await this.#stop(this.#started.pop(), STOP_TIMEOUT_MS);
			throw error;
		}
	}

	#facts(): DaemonFacts {
		const {config: {daemon}, version = '0.0.0', revision = '', binary = process.argv[1] ?? ''} = this.#options;
		return {version, revision, binary, root: daemon.root, state: daemon.state, config: daemon};
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
		for (let started = this.#started.pop(); started !== undefined; started = this.#started.pop()) {
			// Whoever comes after one that hangs still gets a moment to put its things in order.
			await this.#stop(started, Math.max(end - performance.now(), 50));
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

/** Whether a list of config.toml has the plugin, by its id or by the last part of it. */
function isNamed({id}: Plugin, names: readonly string[]): boolean {
	return names.includes(id) || names.includes(nameOf(id) ?? id);
}

async function unknownPlugins(config: Config, plugins: readonly Plugin[]): Promise<{message: string}[]> {
	const names = config.daemon.disabled_plugins.filter((name) => !plugins.some((plugin) => isNamed(plugin, [name])));
	return Promise.all(names.map(async (name) => ({message: `disabled_plugins names ${name}${await config.atItem('disabled_plugins', name)}, which no module provides`})));
}
