import {randomBytes} from 'node:crypto';
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {connect, type Client, type DaemonEvent} from '../../client/index.ts';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {succeed} from '../helpers/command.ts';
import {Daemon, type Program} from '../helpers/daemon.ts';
import {FifoReader} from '../helpers/fifo-reader.ts';
import {until} from '../helpers/until.ts';
import {specOf} from '../shim/stage-spec.ts';

export const SPEC_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
export const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process';

/** JSON as an Any. */
export function json(typeUrl: string, value: object): {typeUrl: string; value: Uint8Array} {
	return {typeUrl, value: Buffer.from(JSON.stringify(value))};
}

/** An exec's process. */
export function processOf(args: readonly string[]): {typeUrl: string; value: Uint8Array} {
	return json(PROCESS_TYPE, {args, cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}});
}

/** A daemon with the typed client, and containers that need no image: their root is a directory of the test's own. */
export class SemanticsRoom implements AsyncDisposable {
	readonly daemon: Daemon;
	readonly client: Client;
	readonly #lifetime: AsyncDisposableStack;
	#count = 0;

	private constructor(daemon: Daemon, client: Client, lifetime: AsyncDisposableStack) {
		this.daemon = daemon;
		this.client = client;
		this.#lifetime = lifetime;
	}

	static async open(program: Program): Promise<SemanticsRoom> {
		await using half = new AsyncDisposableStack();
		const daemon = half.use(await Daemon.start(program));
		const client = half.use(connect(daemon.places.address, {namespace: daemon.namespace('semantics')}));
		const room = new SemanticsRoom(daemon, client, half.move());
		await room.#makeRoot();
		return room;
	}

	/** The root file system that containers of this room have in common. */
	get rootfs(): string {
		return path.join(this.daemon.scratch, 'rootfs');
	}

	/** A client of a namespace that nobody has used. */
	fresh(): Client {
		return this.#lifetime.use(connect(this.daemon.places.address, {namespace: this.daemon.namespace('semantics')}));
	}

	/** A container record that runs `args`; resolves with its id. `spec` has the last word on the document. */
	async container(args: readonly string[], {client = this.client, spec = (made: object): object => made, options, runtime = 'io.containerd.runc.v2'}: {
		readonly client?: Client; readonly spec?: (made: object) => object; readonly options?: {typeUrl: string; value: Uint8Array}; readonly runtime?: string;
	} = {}): Promise<string> {
		const id = `c${++this.#count}`;
		const made = specOf(args, {rootfs: this.rootfs, terminal: false, sharesPids: false, cgroup: `/${client.namespace}/${id}`});
		await client.services.containers.create({container: {id, runtime: {name: runtime, options}, spec: json(SPEC_TYPE, spec(made))}});
		return id;
	}

	/** The bundle of a task. */
	bundle(id: string, client = this.client): string {
		return path.join(this.daemon.places.state, 'io.containerd.runtime.v2.task', client.namespace, id);
	}

	/** A FIFO and what comes out of it. */
	output(): FifoReader {
		const fifo = path.join(this.daemon.scratch, `fifo-${randomBytes(4).toString('hex')}`);
		makeFifo(fifo, 0o600);
		return new FifoReader(fifo);
	}

	/** Ends a task by force and removes its container. */
	async remove(id: string, client = this.client): Promise<void> {
		await client.container(id).remove({force: true});
	}

	/** Events of the client's namespace from now on. */
	async listen(client = this.client): Promise<EventLog> {
		return EventLog.open(client);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#lifetime.disposeAsync();
	}

	async #makeRoot(): Promise<void> {
		for (const directory of ['bin', 'proc', 'dev', 'sys', 'tmp']) {
			await mkdir(path.join(this.rootfs, directory), {recursive: true});
		}
		await succeed('cp', ['/usr/bin/busybox', path.join(this.rootfs, 'bin/busybox')]);
		await succeed('chroot', [this.rootfs, '/bin/busybox', '--install', '-s', '/bin']);
	}
}

/** Events as they came, of one namespace. */
export class EventLog implements AsyncDisposable {
	readonly events: DaemonEvent[] = [];
	readonly #stop = new AbortController();
	#hears = false;
	#reading: Promise<void> = Promise.resolve();

	/** Resolves when it hears. */
	static async open(client: Client): Promise<EventLog> {
		const log = new EventLog();
		log.#reading = log.#read(client);
		// Nobody says that a subscription has begun, but the events that it gets.
		await until('the subscription', async () => {
			await client.services.events.publish({topic: '/listen/probe', event: {typeUrl: 'probe', value: new Uint8Array(0)}});
			return log.#hears;
		}, {everyMs: 5});
		return log;
	}

	/** `topic id`, the exec's id behind it, of what concerns a container. */
	of(id: string): string[] {
		return this.events.filter(({fields}) => fields?.['containerId'] === id).map(({topic, fields}) => {
			const execId = topic === '/tasks/exit' ? fields?.['id'] : fields?.['execId'];
			return `${topic}${typeof execId === 'string' && execId !== '' && execId !== id ? ` ${execId}` : ''}`;
		});
	}

	async has(what: string, isThere: () => boolean): Promise<void> {
		await until(what, () => isThere(), {everyMs: 10});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort();
		await this.#reading;
	}

	async #read(client: Client): Promise<void> {
		for await (const event of client.events({filters: [`namespace==${client.namespace}`], signal: this.#stop.signal})) {
			if (event.topic === '/listen/probe') {
				this.#hears = true;
			} else {
				this.events.push(event);
			}
		}
	}
}
