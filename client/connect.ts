import {Channel, type CallOptions, type ChannelOptions} from './channel.ts';
import type {ContainerRecord} from './container/container-record.ts';
import {Container} from './container/container.ts';
import {listContainers} from './container/list.ts';
import type {Process} from './container/process.ts';
import {run, type RunOptions} from './container/run.ts';
import {subscribe, type DaemonEvent} from './events.ts';
import {Images} from './image/images.ts';
import {servicesOf, type Services} from './services.ts';

/** A daemon, as a client of one containerd namespace sees it. */
export class Client implements Disposable {
	readonly namespace: string;
	/** Each service of the API as typed functions, for what has no convenient form here. */
	readonly services: Services;
	readonly images: Images;
	readonly #channel: Channel;

	constructor(address: string, options: ChannelOptions = {}) {
		this.#channel = new Channel(address, options);
		this.namespace = this.#channel.namespace;
		this.services = servicesOf(this.#channel);
		this.images = new Images(this.services);
	}

	/** Makes a container of an image and starts it. Needs root on the daemon's machine. See `run` in container/run.ts for what it rejects with. */
	async run(options: RunOptions): Promise<Process> {
		return run(this, options);
	}

	/** A container by its id, which need not be there. */
	container(id: string): Container {
		return new Container(this.services, id);
	}

	/** All containers of the namespace. */
	async ps(options: CallOptions & {readonly filters?: readonly string[]} = {}): Promise<ContainerRecord[]> {
		return listContainers(this.services, options);
	}

	/** What happens in the daemon from now on, in all namespaces, until the iteration is left or the signal comes. */
	events(options: CallOptions & {readonly filters?: readonly string[]} = {}): AsyncGenerator<DaemonEvent, void, undefined> {
		return subscribe(this.services, options);
	}

	/** Ends the connection; calls that wait reject with CANCELLED. */
	close(): void {
		this.#channel[Symbol.dispose]();
	}

	[Symbol.dispose](): void {
		this.close();
	}
}

/**
 * A client of the daemon at an address: the path of a unix socket, or `tcp://host:port`. The connection is made at the first call, which
 * rejects with UNAVAILABLE when nobody answers, and again whenever it was lost.
 */
export function connect(address: string, options: ChannelOptions = {}): Client {
	return new Client(address, options);
}
