import {randomBytes} from 'node:crypto';
import {mkdtemp, readdir, readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {SandboxStage} from '../../contracts/sandbox/sandbox.suite.ts';
import type {Logger} from '../../kernel/log.ts';
import {deadlinesFrom} from '../../plugins/shim/manager/deadlines.ts';
import {findShimScript, writeLauncher} from '../../plugins/shim/manager/own-launcher.ts';
import {ShimSandboxController} from '../../plugins/shim/manager/sandbox-controller.ts';
import {SandboxShims} from '../../plugins/shim/manager/sandbox-shims.ts';
import {ShimProgram} from '../../plugins/shim/manager/shim-program.ts';
import {StartProtocols} from '../../plugins/shim/manager/start-protocols.ts';
import {sweep} from '../helpers/sweep.ts';
import {until} from '../helpers/until.ts';

const log: Logger = {trace() {}, debug() {}, info() {}, warn() {}, error() {}, with: () => log};

/** The controller of sandboxes in shims, with real shims. */
export class ShimSandboxStage implements SandboxStage {
	readonly directory: string;
	readonly namespace = `sandbox-${randomBytes(4).toString('hex')}`;
	readonly runtime: SandboxStage['runtime'];
	controller: ShimSandboxController;
	readonly #launcher: string;
	readonly #timeouts: Readonly<Record<string, string>>;
	#shims: SandboxShims;

	private constructor(directory: string, launcher: string, {runtime, timeouts}: {readonly runtime: string; readonly timeouts: Readonly<Record<string, string>>}) {
		this.directory = directory;
		this.#launcher = launcher;
		this.#timeouts = timeouts;
		this.runtime = {name: runtime};
		this.#shims = this.#open();
		this.controller = new ShimSandboxController(this.#shims);
	}

	/** @param timeouts of the daemon's table */
	static async open(runtime: string, timeouts: Readonly<Record<string, string>> = {}): Promise<ShimSandboxStage> {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-sandbox-'));
		const launcher = await writeLauncher(path.join(directory, 'bin'), {
			node: process.execPath, script: await findShimScript(), cache: path.join(tmpdir(), 'keelson-shim-test-cache'),
		});
		return new ShimSandboxStage(directory, launcher, {runtime, timeouts});
	}

	async reopen(): Promise<ShimSandboxController> {
		await this.#shims[Symbol.asyncDispose]();
		this.#shims = this.#open();
		this.controller = new ShimSandboxController(this.#shims);
		return this.controller;
	}

	async kill(id: string): Promise<void> {
		const pids = await this.#shimsOf(id);
		pids.forEach(pid => process.kill(pid, 'SIGKILL'));
		await until('the shim to end', async () => (await this.#shimsOf(id)).length === 0);
	}

	async leftovers(id: string): Promise<readonly string[]> {
		// A shim that has said that it ends may take a moment.
		const pids = await until('the shim to end', async () => (await this.#shimsOf(id)).length === 0).then(() => [], async () => this.#shimsOf(id));
		const bundles = (await Promise.all(['state', 'root'].map(async name => readdir(path.join(this.directory, name, this.namespace)).catch(() => [])))).flat();
		return [...pids.map(pid => `process ${pid}`), ...bundles.filter(name => name === id).map(name => `bundle ${name}`)];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#shims[Symbol.asyncDispose]();
		await sweep(this.directory, new Set([this.namespace]));
	}

	async #shimsOf(id: string): Promise<readonly number[]> {
		const found = await Promise.all((await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(async name => {
			const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
			return line.includes(`\0${this.namespace}\0`) && line.includes(`\0-id\0${id}\0`) ? [Number(name)] : [];
		}));
		return found.flat();
	}

	#open(): SandboxShims {
		const protocols = new StartProtocols(this.#launcher);
		const grpcAddress = path.join(this.directory, 'daemon.sock');
		const environment = {
			grpcAddress, ttrpcAddress: `${grpcAddress}.ttrpc`, daemonBinary: '/bin/true', runtimeRoot: path.join(this.directory, 'runc'), debug: false, version: '0.0.0',
			stdio: 'direct', stdioBufferBytes: 65_536,
		} as const;
		return new SandboxShims({
			place: {state: path.join(this.directory, 'state'), root: path.join(this.directory, 'root')},
			search: {own: this.#launcher, overrides: {}, ociRuntimes: {}, searchPath: ''},
			program: binary => new ShimProgram(binary, environment, protocols),
			deadlines: deadlinesFrom(this.#timeouts),
			log,
		});
	}
}
