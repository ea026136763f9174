import type {Any} from '../../../contracts/oci/any.ts';
import type {Logger} from '../../../kernel/log.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {connectTtrpc} from '../../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../../lib/ttrpc/typed-service.ts';
import {taskV2, taskV3} from '../protocol/task-definition.ts';
import type {Bundle, ShimAddress} from './bundle.ts';
import {isDeserted, removeDeadSocket} from './dead-socket.ts';
import type {Deadlines} from './deadlines.ts';
import {RunningShim} from './running-shim.ts';
import {isShimGone} from './shim-errors.ts';
import type {ShimProgram} from './shim-program.ts';
import type {Inheritance, WarmSpare} from './warm-spare.ts';

export interface ShimPoolOptions {
	/** Containers that share a shim of ours, at most; 1: none do. */
	readonly containersPerShim: number;
	/** How long a shared shim stays when its last container is gone, so that the next need not wait for one. */
	readonly spareMs: number;
	/** Undefined: every shim is a fresh process. */
	readonly warm: WarmSpare | undefined;
	readonly deadlines: Deadlines;
	readonly log: Logger;
	/** Called when the connection to a shim with containers has ended, and we did not end it. */
	readonly lost: (shim: RunningShim) => void;
}

interface Place {
	readonly key: string;
	readonly ids: Set<string>;
	readonly isShared: boolean;
	/** Somebody else ends it: it is let go of when it is empty. */
	readonly isBorrowed: boolean;
	/** Once they are known. */
	address?: string;
	running?: RunningShim;
	isOver?: boolean;
	spare?: NodeJS.Timeout | undefined;
}

interface Slot extends Place {
	readonly shim: Promise<RunningShim>;
}

/** The shims that are connected, and which container goes to which. */
export class ShimPool implements AsyncDisposable {
	readonly #options: ShimPoolOptions;
	readonly #slots = new Set<Slot>();
	#isClosed = false;

	constructor(options: ShimPoolOptions) {
		this.#options = options;
	}

	/** A place in a shim for a container: in one with room, or in a new one. Rejects with what the shim's binary said. */
	async acquire(program: ShimProgram, bundle: Bundle, {isShared, options, signal}: {
		readonly isShared: boolean; readonly options: Any | undefined; readonly signal: AbortSignal;
	}): Promise<RunningShim> {
		const {containersPerShim} = this.#options;
		const key = `${bundle.namespace}\0${program.path}`;
		const silent = new Set<Slot>();
		let found = isShared ? this.#withRoom(key, silent) : undefined;
		// One that hangs must not keep the next container too; one that is being made is waited for by all who share it.
		while (found?.running !== undefined && !found.running.pulse.isFresh) {
			if (!await found.running.pulse.answers()) {
				silent.add(found);
			}
			found = this.#withRoom(key, silent);
		}
		const slot = found ?? this.#add(key, isShared && containersPerShim > 1, async added => this.#start(added, program, bundle, {options, signal}));
		clearTimeout(slot.spare);
		slot.ids.add(bundle.id);
		const shim = await slot.shim;
		shim.containers.add(bundle.id);
		return shim;
	}

	/** Takes up the connection to a shim that an earlier daemon started. One shim may be in many bundles; it is connected once. */
	async adopt(program: ShimProgram, bundle: Bundle, address: ShimAddress, {isShared, isBorrowed = false, signal}: {
		readonly isShared: boolean; readonly isBorrowed?: boolean; readonly signal: AbortSignal;
	}): Promise<RunningShim> {
		const key = `${bundle.namespace}\0${program.path}`;
		const slot = this.#at(address) ?? this.#add(key, isShared && this.#options.containersPerShim > 1, async added =>
			RunningShim.connect({program, namespace: bundle.namespace, address, isShared: added.isShared, ...this.#health()}, signal), isBorrowed);
		slot.address = address.address;
		slot.ids.add(bundle.id);
		const shim = await slot.shim;
		shim.containers.add(bundle.id);
		return shim;
	}

	/** Those that are connected. */
	get shims(): readonly RunningShim[] {
		return [...this.#slots].flatMap(({running}) => running ?? []);
	}

	/** Whether a shim at this address is connected. */
	has(address: ShimAddress): boolean {
		return this.#at(address) !== undefined;
	}

	/** Resolves when a shim lives there, if only as one that hangs. Rejects with UNAVAILABLE or NOT_FOUND when there is none. */
	async probe(address: ShimAddress, signal: AbortSignal): Promise<void> {
		await using client = await connectTtrpc(address.address.replace(/^unix:\/\//, ''), {signal});
		try {
			await ttrpcClientFor(address.version === 3 ? taskV3 : taskV2, client).connect({id: ''}, {timeoutMs: this.#options.deadlines.state, signal});
		} catch (error) {
			// One that is dying takes connections for a moment, and then none; its heir listens at the same place.
			if (isShimGone(error)) {
				await isDeserted(address);
				throw error;
			}
		}
	}

	/** Has the spare take up containers of a shim that is gone; false where none can. */
	async inherit(program: ShimProgram, inheritance: Inheritance): Promise<boolean> {
		const {warm} = this.#options;
		return warm?.serves(program.path) === true && warm.inherit(inheritance);
	}

	/** A container has left: a shim of its own is asked to end, a shared one that is empty stays for a while. */
	async release(shim: RunningShim, id: string): Promise<void> {
		shim.containers.delete(id);
		const slot = await this.#slotOf(shim);
		slot?.ids.delete(id);
		if (slot === undefined || slot.ids.size > 0) {
			return;
		}
		if (!slot.isShared || this.#options.spareMs === 0) {
			await this.#end(slot, shim, id);
			return;
		}
		slot.spare = setTimeout(() => void this.#end(slot, shim, id), this.#options.spareMs).unref();
	}

	/** Lets go of all shims. Those that hold containers go on. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#isClosed = true;
		await Promise.all([...this.#slots].map(async slot => {
			const shim = await slot.shim.catch(() => undefined);
			if (shim !== undefined && slot.ids.size === 0) {
				await this.#end(slot, shim, '');
			}
			clearTimeout(slot.spare);
			await shim?.[Symbol.asyncDispose]();
		}));
	}

	#withRoom(key: string, silent: ReadonlySet<Slot>): Slot | undefined {
		return [...this.#slots].find(slot =>
			slot.isShared && slot.isOver !== true && slot.key === key && slot.ids.size < this.#options.containersPerShim && !silent.has(slot));
	}

	#at({address}: ShimAddress): Slot | undefined {
		return [...this.#slots].find(slot => slot.address === address && slot.isOver !== true);
	}

	#add(key: string, isShared: boolean, open: (place: Place) => Promise<RunningShim>, isBorrowed = false): Slot {
		if (this.#isClosed) {
			throw new KeelsonError('UNAVAILABLE', 'the daemon stops: no shim is started');
		}
		const place: Place = {key, isShared, isBorrowed, ids: new Set()};
		const slot: Slot = Object.assign(place, {shim: open(place)});
		this.#slots.add(slot);
		slot.shim.then(async shim => {
			if (slot.isOver === true) {
				this.#slots.delete(slot);
				return;
			}
			slot.address = shim.address.address;
			slot.running = shim;
			await shim.closed;
			slot.isOver = true;
			this.#slots.delete(slot);
			clearTimeout(slot.spare);
			if (this.#isClosed) {
				return;
			}
			if (shim.containers.size > 0) {
				this.#options.lost(shim);
			} else {
				// One that ends as it should takes its socket with it.
				await removeDeadSocket(shim.address);
			}
		}, () => {
			slot.isOver = true;
			this.#slots.delete(slot);
		});
		return slot;
	}

	async #start(place: Place, program: ShimProgram, bundle: Bundle, {options, signal}: {
		readonly options: Any | undefined; readonly signal: AbortSignal;
	}): Promise<RunningShim> {
		const {namespace, id, path} = bundle;
		const {isShared} = place;
		const {deadlines, log, warm} = this.#options;
		// Not the request's signal alone: others may wait for the same shim.
		const both = isShared ? AbortSignal.timeout(deadlines.call) : AbortSignal.any([signal, AbortSignal.timeout(deadlines.call)]);
		const address = (warm?.serves(program.path) === true ? await warm.assign({namespace, id, bundle: path}) : undefined)
			?? await program.start({namespace, id, bundle: path, options, signal: both});
		const known = this.#at(address);
		if (known !== undefined) {
			// The shim of its group: one connection says for all of them that it has ended.
			join(place, known);
			return known.shim;
		}
		place.address = address.address;
		log.debug('shim started', {namespace, id, address: address.address});
		return RunningShim.connect({program, namespace, address, isShared, ...this.#health()}, AbortSignal.timeout(deadlines.load));
	}

	#health(): {readonly silenceMs: number; readonly log: Logger} {
		const {deadlines, log} = this.#options;
		return {silenceMs: deadlines.load, log};
	}

	async #end(slot: Slot, shim: RunningShim, id: string): Promise<void> {
		if (slot.ids.size > 0 || !this.#slots.delete(slot)) {
			return;
		}
		clearTimeout(slot.spare);
		if (!slot.isBorrowed) {
			await shim.shutdown(id, this.#options.deadlines.shutdown);
		}
		await shim[Symbol.asyncDispose]();
	}

	async #slotOf(shim: RunningShim): Promise<Slot | undefined> {
		for (const slot of this.#slots) {
			if (await slot.shim.catch(() => undefined) === shim) {
				return slot;
			}
		}
		return undefined;
	}
}

function join(place: Place, known: Place): void {
	clearTimeout(known.spare);
	place.ids.forEach(id => known.ids.add(id));
	place.isOver = true;
}
