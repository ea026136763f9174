import {closeSync} from 'node:fs';
import type {HeldKind} from '../protocol/spare-service.ts';

/** Descriptors of one process, held for a shim that may die. */
export class HeldProcess implements Disposable {
	readonly bundle: string;
	readonly #fds: Map<HeldKind, number>;

	/** Owns the descriptors. */
	constructor(bundle: string, fds: ReadonlyMap<HeldKind, number>) {
		this.bundle = bundle;
		this.#fds = new Map(fds);
	}

	/** They stay this one's. */
	get fds(): ReadonlyMap<HeldKind, number> {
		return this.#fds;
	}

	/** The caller's to close from now on. */
	take(kind: HeldKind): number | undefined {
		const fd = this.#fds.get(kind);
		this.#fds.delete(kind);
		return fd;
	}

	/** The same descriptors, in order, under names; this one has none any more. */
	moveAs(bundle: string, kinds: readonly HeldKind[]): HeldProcess {
		const fds = [...this.#fds.values()];
		this.#fds.clear();
		return new HeldProcess(bundle, new Map(kinds.map((kind, index) => [kind, fds[index] ?? -1])));
	}

	[Symbol.dispose](): void {
		this.#fds.forEach(fd => closeSync(fd));
		this.#fds.clear();
	}
}
