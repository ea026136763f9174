import {closeSync, openSync} from 'node:fs';
import path from 'node:path';
import {bringLoopbackUp} from '../../lib/sys/loopback.ts';
import {createNetworkNamespace, removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';

export interface SpareOptions {
	/** Where one is pinned while it is made. */
	readonly directory: string;
	/** How long it is kept: what it inherited of the host when it was made may have changed since. 0: none is made. */
	readonly keepMs: number;
	/** Told why none could be made. */
	readonly failed: (error: unknown) => void;
}

/**
 * A network namespace that was made before anybody asked for it: making one takes a process, which a create then need not wait for. It is held by a
 * descriptor alone, so that nothing is left of it when this process is killed. Made once the first has been asked for: an idle daemon has none.
 */
export class SpareNamespace implements AsyncDisposable {
	readonly #options: SpareOptions;
	#fd: number | undefined;
	#making: Promise<void> | undefined;
	#expiry: NodeJS.Timeout | undefined;
	#isClosed = false;

	constructor(options: SpareOptions) {
		this.#options = options;
	}

	/** A descriptor of an unused namespace with `lo` up, the caller's to close; undefined while there is none. */
	take(): number | undefined {
		const fd = this.#fd;
		this.#fd = undefined;
		clearTimeout(this.#expiry);
		return fd;
	}

	/** Has the next one made, and does not wait for it. After a failure whoever asks next makes one himself. */
	refill(): void {
		if (this.#fd === undefined && !this.#isClosed && this.#options.keepMs > 0) {
			this.#making ??= this.#make().catch(this.#options.failed).finally(() => {
				this.#making = undefined;
			});
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isClosed = true;
		await this.#making;
		this.#drop();
	}

	async #make(): Promise<void> {
		const {directory, keepMs} = this.#options;
		const pin = path.join(directory, String(process.pid));
		await createNetworkNamespace(pin);
		let fd: number | undefined;
		try {
			bringLoopbackUp(pin);
			fd = openSync(pin, 'r');
		} finally {
			await removeNetworkNamespace(pin);
		}
		this.#fd = fd;
		this.#expiry = setTimeout(() => this.#drop(), keepMs).unref();
	}

	#drop(): void {
		const fd = this.take();
		if (fd !== undefined) {
			closeSync(fd);
		}
	}
}
