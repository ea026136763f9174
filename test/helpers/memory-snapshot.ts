import {updatedLabels, type Labels} from '../../contracts/oci/labels.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import type {CommitSnapshotOptions, SnapshotInfo, SnapshotOptions, Snapshotter, SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';

/** The contract in memory: names, kinds and parents, and no bytes. Its mounts are values that cannot be performed. */
export class MemorySnapshotter implements Snapshotter, AsyncDisposable {
	readonly #snapshots = new Map<string, SnapshotInfo>();

	async stat(name: string): Promise<SnapshotInfo> {
		return this.#get(name);
	}

	async update(name: string, labels: Labels, fields: readonly string[]): Promise<SnapshotInfo> {
		const before = this.#get(name);
		const after = {...before, labels: updatedLabels(before.labels, labels, fields), updatedAt: new Date()};
		this.#snapshots.set(name, after);
		return after;
	}

	async usage(name: string): Promise<SnapshotUsage> {
		this.#get(name);
		return {size: 0, inodes: 0};
	}

	async mounts(key: string): Promise<readonly Mount[]> {
		const {kind, parent} = this.#get(key);
		if (kind === 'committed') {
			throw new KeelsonError('FAILED_PRECONDITION', `${key} is committed`);
		}
		const chain: string[] = [];
		for (let at = parent; at !== ''; at = this.#get(at).parent) {
			chain.push(at);
		}
		return [{type: 'memory', source: key, target: '', options: [kind === 'view' ? 'ro' : 'rw', ...chain.map(name => `below=${name}`)]}];
	}

	async prepare(key: string, parent: string, options?: SnapshotOptions): Promise<readonly Mount[]> {
		return this.#create('active', key, parent, options);
	}

	async view(key: string, parent: string, options?: SnapshotOptions): Promise<readonly Mount[]> {
		return this.#create('view', key, parent, options);
	}

	async commit(name: string, key: string, {labels = {}, parent = '', signal}: CommitSnapshotOptions = {}): Promise<void> {
		signal?.throwIfAborted();
		this.#checkFree(name);
		const active = this.#get(key);
		if (active.kind !== 'active') {
			throw new KeelsonError('FAILED_PRECONDITION', `${key} is ${active.kind}, expected active`);
		}
		if (parent !== '' && active.parent !== '' && parent !== active.parent) {
			throw new KeelsonError('INVALID_ARGUMENT', `${key} is on ${active.parent}, not on ${parent}`);
		}
		this.#checkParent(parent);
		this.#snapshots.delete(key);
		const now = new Date();
		this.#snapshots.set(name, {name, kind: 'committed', parent: parent === '' ? active.parent : parent, labels, createdAt: now, updatedAt: now});
	}

	async remove(name: string): Promise<void> {
		this.#get(name);
		if ([...this.#snapshots.values()].some(({parent}) => parent === name)) {
			throw new KeelsonError('FAILED_PRECONDITION', `cannot remove ${name}: it has children`);
		}
		this.#snapshots.delete(name);
	}

	async * list(filters: readonly string[] = [], signal?: AbortSignal): AsyncIterable<SnapshotInfo> {
		const matches = compileFilters(filters);
		for (const info of [...this.#snapshots.values()].toSorted((a, b) => a.name < b.name ? -1 : 1)) {
			signal?.throwIfAborted();
			if (matches(([field, ...rest]) => fieldOf(info, field, rest.join('.')))) {
				yield info;
			}
		}
	}

	async cleanup(): Promise<void> {
		// Nothing is kept that no snapshot owns.
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#snapshots.clear();
	}

	async #create(kind: 'active' | 'view', key: string, parent: string, {labels = {}, signal}: SnapshotOptions = {}): Promise<readonly Mount[]> {
		signal?.throwIfAborted();
		if (key === '') {
			throw new KeelsonError('INVALID_ARGUMENT', 'the key is empty');
		}
		this.#checkParent(parent);
		this.#checkFree(key);
		const now = new Date();
		this.#snapshots.set(key, {name: key, kind, parent, labels, createdAt: now, updatedAt: now});
		return this.mounts(key);
	}

	#get(name: string): SnapshotInfo {
		const info = this.#snapshots.get(name);
		if (info === undefined) {
			throw new KeelsonError('NOT_FOUND', `snapshot ${name} does not exist`);
		}
		return info;
	}

	#checkFree(name: string): void {
		if (this.#snapshots.has(name)) {
			throw new KeelsonError('ALREADY_EXISTS', `snapshot ${name} already exists`);
		}
	}

	#checkParent(parent: string): void {
		if (parent !== '' && this.#get(parent).kind !== 'committed') {
			throw new KeelsonError('INVALID_ARGUMENT', `parent ${parent} is not committed`);
		}
	}
}

function fieldOf(info: SnapshotInfo, field: string | undefined, key: string): string | undefined {
	if (field === 'labels') {
		return Object.hasOwn(info.labels, key) ? info.labels[key] : undefined;
	}
	return field === 'kind' || field === 'name' || field === 'parent' ? info[field] : undefined;
}
