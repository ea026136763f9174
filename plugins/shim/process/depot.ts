import {closeSync, rmSync} from 'node:fs';
import {access} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {receiveDescriptors} from '../../../lib/sys/descriptors.ts';
import {acceptPackets, connectPackets, listenForPackets} from '../../../lib/sys/packet-socket.ts';
import type {HeldKind, HoldMessage} from '../protocol/spare-service.ts';
import {HeldProcess} from './held-process.ts';

/** More shims than a daemon has; more processes than the descriptors of this one would do for. */
const connectionsMax = 1024;
const heldMax = 65_536;
/** Names of all processes of a shim, at the longest. */
const messageBytesMax = 128 * 1024;
const kindsMax = 7;
const lookMs = 5000;
const askMs = 20;

/** What the spare holds for the shims of its daemon, so that it outlives them: what a shim gave stays when the shim is gone. */
export class Depot implements AsyncDisposable {
	readonly #path: string;
	readonly #listener: number;
	readonly #watcher: DescriptorWatcher;
	readonly #held = new Map<string, Map<string, HeldProcess>>();
	readonly #closing = new AbortController();
	readonly #look: NodeJS.Timeout;
	readonly #serving = new Set<Promise<void>>();
	readonly #accepting: Promise<void>;

	private constructor(path: string, listener: number, watcher: DescriptorWatcher) {
		this.#path = path;
		this.#listener = listener;
		this.#watcher = watcher;
		this.#look = setInterval(() => void this.dropForgotten(), lookMs).unref();
		this.#accepting = this.#accept();
	}

	/** The caller has made sure that no other spare serves the daemon. */
	static open(path: string, watcher: DescriptorWatcher): Depot {
		const other = connectPackets(path);
		if (other !== undefined) {
			closeSync(other);
		}
		rmSync(path, {force: true});
		return new Depot(path, listenForPackets(path), watcher);
	}

	/** Processes. */
	get size(): number {
		return [...this.#held.values()].reduce((sum, {size}) => sum + size, 0);
	}

	/** Resolves when something is held of each process, or after `milliseconds`. */
	async await(owner: string, keys: readonly string[], milliseconds: number): Promise<void> {
		for (const late = performance.now() + milliseconds; performance.now() < late; await sleep(askMs)) {
			if (keys.every(key => this.#held.get(owner)?.has(key))) {
				return;
			}
		}
	}

	/** Gives up what a shim gave; by key. The caller's to close. */
	take(owner: string): ReadonlyMap<string, HeldProcess> {
		const found = this.#held.get(owner);
		this.#held.delete(owner);
		return found ?? new Map<string, HeldProcess>();
	}

	/** Gives up everything; by owner and key. */
	takeAll(): ReadonlyMap<string, ReadonlyMap<string, HeldProcess>> {
		const all = new Map(this.#held);
		this.#held.clear();
		return all;
	}

	/** Closes what was given of containers whose bundles are gone: their shim died before it could say so, or said so to the spare before this one. By itself every five seconds. */
	async dropForgotten(): Promise<void> {
		for (const [owner, processes] of this.#held) {
			for (const [key, {bundle}] of processes) {
				if (!await access(bundle).then(() => true, () => false)) {
					drop(processes, key);
				}
			}
			if (processes.size === 0 && this.#held.get(owner) === processes) {
				this.#held.delete(owner);
			}
		}
	}

	/** Takes nothing from now on; what was not taken out is closed. */
	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#closing.signal.aborted) {
			return;
		}
		rmSync(this.#path, {force: true});
		this.#closing.abort();
		clearInterval(this.#look);
		await this.#accepting;
		await Promise.all(this.#serving);
		closeSync(this.#listener);
		this.takeAll().forEach(processes => processes.forEach(held => held[Symbol.dispose]()));
	}

	async #accept(): Promise<void> {
		const {signal} = this.#closing;
		while (!signal.aborted) {
			try {
				await this.#watcher.readable(this.#listener, signal);
				const connection = acceptPackets(this.#listener);
				if (connection !== undefined && this.#serving.size >= connectionsMax) {
					closeSync(connection);
				} else if (connection !== undefined) {
					const serving = this.#serve(connection).finally(() => this.#serving.delete(serving));
					this.#serving.add(serving);
				}
			} catch {
				// Closed; or out of descriptors, which some may be given back by and by.
				await new Promise(resolve => setTimeout(resolve, signal.aborted ? 0 : 1000).unref());
			}
		}
	}

	async #serve(connection: number): Promise<void> {
		const {signal} = this.#closing;
		try {
			for (;;) {
				const {fds, data} = await receiveDescriptors(connection, this.#watcher, {fdsMax: kindsMax, bytesMax: messageBytesMax, signal});
				if (data.length === 0) {
					return;
				}
				this.#heard(data, fds);
			}
		} catch {
			// It said what cannot be understood, or this is closed.
		} finally {
			closeSync(connection);
		}
	}

	#heard(data: Buffer, fds: readonly number[]): void {
		using unclaimed = new HeldProcess('', new Map(fds.map((fd, index) => [String(index) as HeldKind, fd])));
		const message = JSON.parse(data.toString()) as HoldMessage;
		const mine = this.#held.get(message.owner) ?? new Map<string, HeldProcess>();
		switch (message.op) {
			case 'hello': {
				const keys = new Set(message.keys);
				for (const key of mine.keys()) {
					if (!keys.has(key)) {
						drop(mine, key);
					}
				}
				break;
			}
			case 'keep':
				drop(mine, message.key);
				if (this.size < heldMax && message.kinds.length === fds.length) {
					mine.set(message.key, unclaimed.moveAs(message.bundle, message.kinds));
				}
				break;
			case 'drop':
				drop(mine, message.key);
				break;
		}
		if (mine.size > 0) {
			this.#held.set(message.owner, mine);
		} else {
			this.#held.delete(message.owner);
		}
	}
}

function drop(processes: Map<string, HeldProcess>, key: string): void {
	processes.get(key)?.[Symbol.dispose]();
	processes.delete(key);
}
