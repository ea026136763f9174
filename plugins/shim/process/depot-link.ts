import {closeSync} from 'node:fs';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {trySendDescriptors} from '../../../lib/sys/descriptors.ts';
import {connectPackets} from '../../../lib/sys/packet-socket.ts';
import type {HeldKind, HoldMessage} from '../protocol/spare-service.ts';
import type {HeldProcess} from './held-process.ts';

export interface Keepable {
	readonly bundle: string;
	/** Opens what is to be held; each is closed by us when it is sent, where `isOurs` says so. Empty: the process is gone. */
	open(): readonly {readonly kind: HeldKind; readonly fd: number; readonly isOurs: boolean}[];
}

const retryMinMs = 100;
const retryMaxMs = 2000;
const fullMs = 50;
const soonMs = 20;

/**
 * A shim's way to the spare of its daemon: hands over copies of what must outlive it, to the next spare again when one is used up or dead. Nothing
 * here waits for the spare, and no more is kept for it than what there is.
 */
export class DepotLink implements Disposable {
	readonly #path: string;
	readonly #owner: string;
	readonly #watcher: DescriptorWatcher;
	readonly #kept = new Map<string, Keepable>();
	/** What others gave to the spare that this process was; theirs to give again once they find the next one. */
	readonly #inherited: Inherited[] = [];
	/** Keys of which the spare has to learn, in order. */
	readonly #unsaid = new Set<string>();
	readonly #soon = new Map<string, NodeJS.Timeout>();
	#connection: {readonly fd: number; readonly watch: AbortController} | undefined;
	#timer: NodeJS.Timeout | undefined;
	#retryMs = retryMinMs;
	#isClosed = false;

	/** @param path of the depot; empty: there is none, and all of this does nothing */
	constructor(path: string, owner: string, watcher: DescriptorWatcher) {
		this.#path = path;
		this.#owner = owner;
		this.#watcher = watcher;
	}

	/** Another entry under the key is replaced. */
	keep(key: string, keepable: Keepable): void {
		this.#kept.set(key, keepable);
		this.#say(key);
	}

	/** The same in a moment, unless it is dropped before: what is gone by then costs nobody anything. */
	keepSoon(key: string, keepable: Keepable): void {
		this.#kept.set(key, keepable);
		clearTimeout(this.#soon.get(key));
		this.#soon.set(key, setTimeout(() => this.#say(key), soonMs).unref());
	}

	/** There is less to hold than when it was kept: a copy of an end that was closed here would keep it open. Nothing of what is not kept any more. */
	again(key: string): void {
		if (this.#kept.has(key)) {
			this.#say(key);
		}
	}

	drop(key: string): void {
		if (this.#kept.delete(key)) {
			if (!this.#forgetSoon(key)) {
				this.#say(key);
			}
		}
	}

	/** Passes on, once, what this process holds for others, and closes it then. */
	passOn(inherited: ReadonlyMap<string, ReadonlyMap<string, HeldProcess>>): void {
		inherited.forEach((processes, owner) => processes.forEach((held, key) => this.#inherited.push({owner, key, held})));
		this.#later(retryMinMs);
	}

	[Symbol.dispose](): void {
		this.#isClosed = true;
		clearTimeout(this.#timer);
		this.#soon.forEach(timer => clearTimeout(timer));
		this.#disconnect();
		this.#inherited.splice(0).forEach(({held}) => held[Symbol.dispose]());
	}

	/** Whether the spare was to hear of it, and has not. */
	#forgetSoon(key: string): boolean {
		clearTimeout(this.#soon.get(key));
		return this.#soon.delete(key);
	}

	#say(key: string): void {
		this.#forgetSoon(key);
		if (this.#path === '') {
			return;
		}
		this.#unsaid.delete(key);
		this.#unsaid.add(key);
		if (this.#connection !== undefined) {
			this.#pump(this.#connection.fd);
		} else if (this.#timer === undefined) {
			this.#later(0);
		}
	}

	#later(milliseconds: number): void {
		clearTimeout(this.#timer);
		this.#timer = this.#path === '' || this.#isClosed ? undefined : setTimeout(() => {
			this.#timer = undefined;
			if (this.#connection !== undefined) {
				this.#pump(this.#connection.fd);
			} else if (this.#kept.size > 0 || this.#inherited.length > 0) {
				this.#connect();
			}
		}, milliseconds).unref();
	}

	#connect(): void {
		let fd: number | undefined;
		try {
			fd = connectPackets(this.#path);
		} catch {
			// Out of descriptors: later.
		}
		if (fd === undefined) {
			this.#later(this.#retryMs);
			// What is held for others may be asked for at once.
			this.#retryMs = this.#inherited.length > 0 ? retryMinMs : Math.min(this.#retryMs * 2, retryMaxMs);
			return;
		}
		this.#retryMs = retryMinMs;
		const connection = {fd, watch: new AbortController()};
		this.#connection = connection;
		// It says nothing: what can be read is its end.
		this.#watcher.readable(fd, connection.watch.signal).then(() => this.#lost(fd), () => undefined);
		this.#unsaid.clear();
		for (const key of this.#kept.keys()) {
			this.#forgetSoon(key);
			this.#unsaid.add(key);
		}
		if (this.#send(fd, {op: 'hello', owner: this.#owner, keys: [...this.#kept.keys()]}) === 'sent') {
			this.#pump(fd);
		} else {
			this.#lost(fd);
		}
	}

	#pump(connection: number): void {
		for (;;) {
			const [inherited] = this.#inherited;
			const [key] = this.#unsaid;
			if (inherited === undefined && key === undefined) {
				return;
			}
			const outcome = inherited === undefined ? this.#sendOne(connection, key ?? '') : this.#sendInherited(connection, inherited);
			if (outcome === 'gone') {
				this.#lost(connection);
				return;
			}
			if (outcome === 'full') {
				this.#later(fullMs);
				return;
			}
			if (inherited === undefined) {
				this.#unsaid.delete(key ?? '');
			} else {
				this.#inherited.shift()?.held[Symbol.dispose]();
			}
		}
	}

	#sendOne(connection: number, key: string): Outcome {
		const keepable = this.#kept.get(key);
		const opened = keepable?.open() ?? [];
		try {
			const message: HoldMessage = keepable === undefined || opened.length === 0
				? {op: 'drop', owner: this.#owner, key}
				: {op: 'keep', owner: this.#owner, key, bundle: keepable.bundle, kinds: opened.map(({kind}) => kind)};
			return this.#send(connection, message, opened.map(({fd}) => fd));
		} finally {
			opened.filter(({isOurs}) => isOurs).forEach(({fd}) => closeSync(fd));
		}
	}

	#sendInherited(connection: number, {owner, key, held: {bundle, fds}}: Inherited): Outcome {
		return this.#send(connection, {op: 'keep', owner, key, bundle, kinds: [...fds.keys()]}, [...fds.values()]);
	}

	#send(connection: number, message: HoldMessage, fds: readonly number[] = []): Outcome {
		try {
			return trySendDescriptors(connection, fds, Buffer.from(JSON.stringify(message))) ? 'sent' : 'full';
		} catch {
			return 'gone';
		}
	}

	#lost(fd: number): void {
		if (this.#connection?.fd === fd && !this.#isClosed) {
			this.#disconnect();
			this.#later(this.#retryMs);
		}
	}

	#disconnect(): void {
		if (this.#connection !== undefined) {
			// First: a closed descriptor's number is soon another's.
			this.#connection.watch.abort();
			closeSync(this.#connection.fd);
			this.#connection = undefined;
		}
	}
}

interface Inherited {
	readonly owner: string;
	readonly key: string;
	readonly held: HeldProcess;
}

type Outcome = 'sent' | 'full' | 'gone';
