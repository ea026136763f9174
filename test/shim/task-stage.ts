import {execFile} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {closeSync, constants, openSync, readSync} from 'node:fs';
import {chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink} from 'node:fs/promises';
import {Socket} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import {EventsDefinition} from '../../api/gen/services/ttrpc/events/v1/events.ts';
import {TaskExit} from '../../api/gen/events/task.ts';
import type {Envelope} from '../../contracts/event/event.ts';
import type {ContainerRecord, Metadata} from '../../contracts/metadata/metadata.ts';
import type {Network} from '../../contracts/network/network.ts';
import type {SpecChange, TaskStage} from '../../contracts/task/task.suite.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {TtrpcServer} from '../../lib/ttrpc/server.ts';
import {ttrpcClientFor, ttrpcService} from '../../lib/ttrpc/typed-service.ts';
import {EventExchange} from '../../plugins/event-exchange/exchange.ts';
import {NoNetwork} from '../../plugins/network-none/no-network.ts';
import {PinnedNamespaces} from '../../plugins/network-none/pinned-namespaces.ts';
import {deadlinesFrom} from '../../plugins/shim/manager/deadlines.ts';
import {ShimTaskManager} from '../../plugins/shim/manager/manager.ts';
import {findShimScript, writeLauncher} from '../../plugins/shim/manager/own-launcher.ts';
import {SpareDefinition, spareSocketPath} from '../../plugins/shim/protocol/spare-service.ts';
import {taskV2, taskV3} from '../../plugins/shim/protocol/task-definition.ts';
import type {StdioMode} from '../../plugins/shim/protocol/stdio-mode.ts';
import {sweep} from '../helpers/sweep.ts';
import {mountsUnder, tracesOf} from '../helpers/traces.ts';
import {until} from '../helpers/until.ts';
import {containerOf, idOf} from './stage-events.ts';
import {specOf} from './stage-spec.ts';

const run = promisify(execFile);

export interface StageOptions {
	/** The runtime's name in container records. */
	readonly runtime?: string;
	/** Another build's. */
	readonly manager?: typeof ShimTaskManager;
	/** Of the configuration: binaries by the runtime's name. */
	readonly runtimes?: Readonly<Record<string, string>>;
	readonly containersPerShim?: number;
	/** Of the daemon's table. */
	readonly timeouts?: Readonly<Record<string, string>>;
	readonly spareSeconds?: number;
	/** Default: none. */
	readonly hasWarmSpare?: boolean;
	readonly stdio?: StdioMode;
	readonly stdioBufferBytes?: number;
	readonly networks?: ReadonlyMap<string, Network>;
	readonly options?: ContainerRecord['runtime']['options'];
}

/** A task manager with everything real around it but for the metadata store, which is a map. */
export class ShimStage implements TaskStage {
	readonly directory: string;
	readonly namespace = `shim-${randomBytes(4).toString('hex')}`;
	readonly bus = new EventExchange();
	readonly lines: string[] = [];
	manager!: ShimTaskManager;
	launcher = '';
	readonly #options: StageOptions;
	readonly #containers = new Map<string, ContainerRecord>();
	readonly #heard: Envelope[] = [];
	readonly #lifetime = new AsyncDisposableStack();
	#rootfs = '';
	#count = 0;

	private constructor(directory: string, options: StageOptions) {
		this.directory = directory;
		this.#options = options;
	}

	static async open(options: StageOptions = {}): Promise<ShimStage> {
		const stage = new ShimStage(await mkdtemp(path.join(tmpdir(), 'keelson-shim-')), options);
		try {
			await stage.#setUp();
			return stage;
		} catch (error) {
			await stage[Symbol.asyncDispose]();
			throw error;
		}
	}

	get state(): string {
		return path.join(this.directory, 'state', 'io.containerd.runtime.v2.task');
	}

	bundle(containerId: string): string {
		return path.join(this.state, this.namespace, containerId);
	}

	/** As the daemon does when it starts. */
	async openManager(): Promise<void> {
		const log = logTo(this.lines);
		const root = path.join(this.directory, 'root', 'io.containerd.runtime.v2.task');
		this.manager = await (this.#options.manager ?? ShimTaskManager).open({
			differ: undefined, sandboxes: new Map(), mounts: undefined, begin: Promise.resolve(),
			metadata: this.#metadata(), events: this.bus, log,
			namespaces: await PinnedNamespaces.open(path.join(this.directory, 'netns')),
			networks: this.#options.networks ?? new Map([['none', new NoNetwork()]]),
			place: {state: this.state, root},
			deadlines: deadlinesFrom({'io.containerd.timeout.shim.load': '20s', ...this.#options.timeouts}),
			containersPerShim: this.#options.containersPerShim ?? 64,
			spareMs: (this.#options.spareSeconds ?? 0) * 1000,
			hasWarmSpare: this.#options.hasWarmSpare ?? false,
			search: {own: this.launcher, overrides: this.#options.runtimes ?? {}, ociRuntimes: {}, searchPath: process.env['PATH'] ?? ''},
			environment: {
				grpcAddress: path.join(this.directory, 'daemon.sock'), ttrpcAddress: path.join(this.directory, 'daemon.sock.ttrpc'), daemonBinary: '/bin/true',
				runtimeRoot: path.join(this.directory, 'runc'), debug: false, version: '0.0.0',
				stdio: this.#options.stdio ?? 'direct', stdioBufferBytes: this.#options.stdioBufferBytes ?? 65_536,
			},
		});
	}

	/** What the daemon's ttrpc socket does with what shims send. */
	async openEvents(): Promise<AsyncDisposable> {
		const server = new TtrpcServer({services: [ttrpcService(EventsDefinition, {
			forward: ({envelope}) => {
				if (envelope !== undefined) {
					const {timestamp, namespace, topic, event = {typeUrl: '', value: new Uint8Array(0)}} = envelope;
					this.bus.forward({namespace, topic, event, timestamp: new Date(Number(timestamp?.seconds ?? 0n) * 1000)});
				}
				return {};
			},
		})]});
		const socket = path.join(this.directory, 'daemon.sock.ttrpc');
		await rm(socket, {force: true});
		await server.listen(socket);
		return server;
	}

	async container(args: readonly string[], {terminal = false, sharesPids = false, hooks, annotations = {}, record = {}}: SpecChange = {}): Promise<string> {
		this.#count++;
		const id = `c${this.#count}`;
		const rootfs = path.join(this.directory, `rootfs-${id}`);
		await run('cp', ['-a', this.#rootfs, rootfs]);
		const spec = {...specOf(args, {rootfs, terminal, sharesPids, cgroup: `/${this.namespace}/${id}`}), annotations, ...(hooks === undefined ? {} : {hooks})};
		this.#containers.set(id, {
			id, labels: {}, image: '', snapshotter: '', snapshotKey: '', extensions: {}, sandbox: '',
			runtime: {name: this.#options.runtime ?? 'io.containerd.runc.v2', ...(this.#options.options === undefined ? {} : {options: this.#options.options})},
			spec: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Buffer.from(JSON.stringify(spec))},
			...record,
		});
		return id;
	}

	async output(): Promise<{readonly path: string; readonly text: () => Promise<string>}> {
		const fifo = this.fifo();
		const fd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
		this.#lifetime.defer(() => closeSync(fd));
		return {path: fifo, text: async () => readToEnd(fd)};
	}

	async input(): Promise<{readonly path: string; readonly write: (text: string) => void; readonly end: () => void}> {
		const fifo = this.fifo();
		const socket = new Socket({fd: openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK), readable: false, writable: true});
		this.#lifetime.defer(() => void socket.destroy());
		let written = Promise.resolve();
		return {
			path: fifo,
			write: words => {
				written = written.then(async () => new Promise(resolve => void socket.write(words, () => resolve())));
			},
			end: () => void written.then(() => socket.destroy()),
		};
	}

	heard(containerId: string): readonly string[] {
		return this.#heard.filter(envelope => containerOf(envelope) === containerId).map(({topic, event}) => {
			const execId = topic === '/tasks/exit' ? idOf(event as never) : containerId;
			return execId === containerId ? topic : `${topic} ${execId}`;
		});
	}

	exits(containerId: string): readonly number[] {
		return this.#heard.filter(one => one.topic === '/tasks/exit' && containerOf(one) === containerId).map(({event}) => {
			return 'typeUrl' in event ? TaskExit.decode(event.value).exitStatus : (event.value as {exitStatus: number}).exitStatus;
		});
	}

	async leftovers(containerId: string): Promise<readonly string[]> {
		const left: string[] = [];
		const bundles = await readdir(path.join(this.state, this.namespace)).catch(() => []);
		left.push(...bundles.filter(name => name === containerId).map(name => `bundle ${name}`));
		left.push(...(await mountsUnder(this.bundle(containerId))).map(point => `mount ${point}`));
		left.push(...(await readdir(path.join(this.directory, 'netns'))).filter(name => name.endsWith(`-${containerId}`)).map(name => `netns ${name}`));
		const {cgroups} = await tracesOf(path.join(this.directory, 'none'), new Set([this.namespace]));
		left.push(...cgroups.filter(one => path.basename(one) === containerId).map(one => `cgroup ${one}`));
		return left;
	}

	async shims(): Promise<readonly number[]> {
		const {processes} = await tracesOf(this.directory, new Set());
		return processes.filter(({what}) => what.includes('containerd-shim')).map(({pid}) => pid);
	}

	/** The pid of the shim that serves a container. */
	async shimOf(containerId: string): Promise<number> {
		const {address, version} = JSON.parse(await readFile(path.join(this.bundle(containerId), 'bootstrap.json'), 'utf8')) as {address: string; version: number};
		await using client = await connectTtrpc(address.replace('unix://', ''));
		return (await ttrpcClientFor(version === 3 ? taskV3 : taskV2, client).connect({id: containerId})).shimPid;
	}

	/** Where the shim of a container listens, as a path. */
	async socketOf(containerId: string): Promise<string> {
		const {address} = JSON.parse(await readFile(path.join(this.bundle(containerId), 'bootstrap.json'), 'utf8')) as {address: string};
		return address.replace('unix://', '');
	}

	/** A container's root file system, as it is on the host. */
	rootfs(containerId: string): string {
		return path.join(this.directory, `rootfs-${containerId}`);
	}

	/** The pid of the shim that waits, once it answers. */
	async spare(): Promise<number> {
		return until('a spare shim to wait', async () => {
			try {
				await using client = await connectTtrpc(spareSocketPath(path.join(this.directory, 'daemon.sock')));
				return (await ttrpcClientFor(SpareDefinition, client).hello({})).pid;
			} catch (error) {
				if (isKeelsonError(error, 'NOT_FOUND') || isKeelsonError(error, 'UNAVAILABLE')) {
					return undefined;
				}
				throw error;
			}
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.manager?.[Symbol.asyncDispose]();
		await this.#lifetime.disposeAsync();
		await sweep(this.directory, new Set([this.namespace]));
	}

	async #setUp(): Promise<void> {
		this.launcher = await writeLauncher(path.join(this.directory, 'bin'), {
			node: process.execPath, script: await findShimScript(), cache: path.join(tmpdir(), 'keelson-shim-test-cache'),
		});
		this.#rootfs = path.join(this.directory, 'rootfs');
		await mkdir(path.join(this.#rootfs, 'bin'), {recursive: true});
		await Promise.all(['proc', 'dev', 'sys', 'tmp', 'etc'].map(async name => mkdir(path.join(this.#rootfs, name))));
		await copyFile('/usr/bin/busybox', path.join(this.#rootfs, 'bin', 'busybox'));
		await chmod(path.join(this.#rootfs, 'bin', 'busybox'), 0o755);
		await Promise.all(['sh', 'sleep', 'cat', 'stty', 'ip', 'ls', 'readlink', 'id', 'dd', 'true', 'seq'].map(async name => symlink('busybox', path.join(this.#rootfs, 'bin', name))));
		const ending = new AbortController();
		this.#lifetime.defer(() => ending.abort());
		const events = this.bus.subscribe({signal: ending.signal});
		void (async () => {
			for await (const envelope of events) {
				this.#heard.push(envelope);
			}
		})();
		this.#lifetime.use(await this.openEvents());
		await this.openManager();
	}

	/** A FIFO that nobody has opened. */
	fifo(): string {
		this.#count++;
		const fifo = path.join(this.directory, `fifo-${this.#count}`);
		makeFifo(fifo, 0o700);
		return fifo;
	}

	#metadata(): Metadata {
		const get = async (id: string): Promise<ContainerRecord & {createdAt: Date; updatedAt: Date}> => {
			const record = this.#containers.get(id);
			if (record === undefined) {
				throw new KeelsonError('NOT_FOUND', `container ${id}: not found`);
			}
			return {...record, createdAt: new Date(), updatedAt: new Date()};
		};
		return {scope: () => ({containers: {get}})} as unknown as Metadata;
	}
}

// As a client reads: to the end, which comes when the last writer is gone.
async function readToEnd(fd: number): Promise<string> {
	const chunks: Buffer[] = [];
	for (const end = performance.now() + 30_000; performance.now() < end;) {
		const chunk = Buffer.alloc(65_536);
		try {
			const length = readSync(fd, chunk);
			if (length === 0) {
				return Buffer.concat(chunks).toString();
			}
			chunks.push(chunk.subarray(0, length));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
				throw error;
			}
			await new Promise(resolve => setTimeout(resolve, 10));
		}
	}
	throw new Error(`no end of output after 30 s: ${Buffer.concat(chunks).toString()}`);
}

function logTo(lines: string[]): Logger {
	const write = (level: string) => (message: string, fields?: object): void => void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {}, (_, value: unknown) => value instanceof Error ? value.message : value)}`);
	const logger: Logger = {trace: write('trace'), debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), with: () => logger};
	return logger;
}
