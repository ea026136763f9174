import {setImmediate} from 'node:timers/promises';
import {updatedLabels, type Labels} from '../../contracts/oci/labels.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import type {CommitSnapshotOptions, PrepareSnapshotOptions, SnapshotInfo, SnapshotOptions, Snapshotter, SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {mappedRoot} from './id-mapping.ts';
import {mountsOf} from './overlay-mounts.ts';
import type {SnapshotDirectories} from './snapshot-directories.ts';
import type {SnapshotRecord, SnapshotRecords} from './snapshot-records.ts';

export interface OverlaySnapshotterOptions {
	/** After lowerdir in each overlay mount. */
	readonly mountOptions: readonly string[];
	/** Mounts say whose files are whose, as the mapping labels do; without, only the upper directory has its owner. */
	readonly mapsOwners: boolean;
	/** Shows the upper directory as the label `containerd.io/snapshot/overlay.upperdir`. */
	readonly hasUpperdirLabel: boolean;
	/** remove() waits until the directory is gone. */
	readonly isRemoveSynchronous: boolean;
}

const upperdirLabel = 'containerd.io/snapshot/overlay.upperdir';
const pageSize = 500;

/** Snapshots as directories that overlayfs stacks. Each is a row, and a directory that is made before the row and removed after it. */
export class OverlaySnapshotter implements Snapshotter {
	readonly canRebase = true;
	readonly #records: SnapshotRecords;
	readonly #directories: SnapshotDirectories;
	readonly #options: OverlaySnapshotterOptions;
	/** Numbers whose directories have no row yet; cleanup leaves them alone. */
	readonly #inTheMaking = new Set<number>();
	#lastId: number;

	/** @param lastId the highest number that any row or directory has or had */
	constructor({records, directories, lastId, ...options}: OverlaySnapshotterOptions & {readonly records: SnapshotRecords; readonly directories: SnapshotDirectories; readonly lastId: number}) {
		this.#records = records;
		this.#directories = directories;
		this.#lastId = lastId;
		this.#options = options;
	}

	async stat(name: string): Promise<SnapshotInfo> {
		return this.#show(this.#records.get(name));
	}

	async update(name: string, labels: Labels, fields: readonly string[]): Promise<SnapshotInfo> {
		return this.#show(this.#records.setLabels(name, current => updatedLabels(current, labels, fields)));
	}

	async usage(name: string, signal?: AbortSignal): Promise<SnapshotUsage> {
		const {id, info, usage} = this.#records.get(name);
		if (usage !== undefined) {
			return usage;
		}
		if (info.kind === 'view') {
			return {size: 0, inodes: 0};
		}
		const measured = await this.#directories.measure(id, signal);
		if (info.kind === 'committed') {
			this.#records.setUsage(id, measured);
		}
		return measured;
	}

	async mounts(key: string): Promise<readonly Mount[]> {
		return this.#mounts(key, false);
	}

	async prepare(key: string, parent: string, options?: PrepareSnapshotOptions): Promise<readonly Mount[]> {
		return this.#create('active', key, parent, options);
	}

	async view(key: string, parent: string, options?: SnapshotOptions): Promise<readonly Mount[]> {
		return this.#create('view', key, parent, options);
	}

	async commit(name: string, key: string, {labels = {}, parent = '', signal}: CommitSnapshotOptions = {}): Promise<void> {
		checkName(name);
		signal?.throwIfAborted();
		const {id, info} = this.#records.checkCommit(name, key, parent);
		if (parent !== '' && info.parent === '' && mappedRoot(info.labels) === undefined) {
			await this.#directories.describeRoot(id, this.#records.getParent(parent).id);
		}
		await this.#directories.sync();
		signal?.throwIfAborted();
		this.#records.commit({id, name, key, parent, labels});
	}

	async remove(name: string): Promise<void> {
		const {id} = this.#records.remove(name);
		await this.#directories.setAside(id);
		const discarded = this.#directories.discard(id);
		if (this.#options.isRemoveSynchronous) {
			await discarded;
		}
	}

	async * list(filters: readonly string[] = [], signal?: AbortSignal): AsyncIterable<SnapshotInfo> {
		const matches = compileFilters(filters);
		for (let last: string | undefined = ''; last !== undefined;) {
			signal?.throwIfAborted();
			const records: readonly SnapshotRecord[] = this.#records.page(last, pageSize);
			for (const record of records) {
				const info = this.#show(record);
				if (matches(fieldsOf(info))) {
					yield info;
				}
			}
			last = records.length < pageSize ? undefined : records.at(-1)?.info.name;
			await setImmediate();
		}
	}

	async cleanup(signal?: AbortSignal): Promise<void> {
		// The directories before the rows: one that is made in between has its row, or is in the making, when the rows are read.
		const directories = await this.#directories.list();
		const owned = this.#records.ids();
		for (const {id, isAside} of directories) {
			signal?.throwIfAborted();
			if (isAside || (!owned.has(id) && !this.#inTheMaking.has(id))) {
				await this.#directories.setAside(id);
				await this.#directories.discard(id);
			}
		}
	}

	async #create(kind: 'active' | 'view', key: string, parent: string, {labels = {}, signal, isApart = false}: PrepareSnapshotOptions = {}): Promise<readonly Mount[]> {
		checkName(key);
		signal?.throwIfAborted();
		if (isApart && parent !== '') {
			throw new KeelsonError('INVALID_ARGUMENT', `snapshot ${JSON.stringify(key)} is to get its parent by commit, and cannot have ${JSON.stringify(parent)} now`);
		}
		const owner = mappedRoot(labels);
		const parentId = parent === '' ? undefined : this.#records.getParent(parent).id;
		this.#records.checkFree(key);
		const id = ++this.#lastId;
		this.#inTheMaking.add(id);
		try {
			await this.#directories.make(id, {kind, parentId, owner});
			signal?.throwIfAborted();
			this.#records.insert({id, name: key, kind, parent, labels});
		} catch (error) {
			await this.#directories.setAside(id);
			void this.#directories.discard(id);
			throw KeelsonError.from(error, 'INTERNAL');
		} finally {
			this.#inTheMaking.delete(id);
		}
		return this.#mounts(key, isApart);
	}

	#mounts(key: string, isApart: boolean): readonly Mount[] {
		const {id, info} = this.#records.get(key);
		if (info.kind === 'committed') {
			throw new KeelsonError('FAILED_PRECONDITION', `snapshot ${JSON.stringify(key)} is committed, and has no mounts of its own`);
		}
		return mountsOf({
			kind: info.kind,
			upper: this.#directories.upper(id),
			work: this.#directories.work(id),
			lower: this.#records.parentIds(id).map(parentId => this.#directories.upper(parentId)),
			labels: info.labels,
			isApart,
		}, {overlayOptions: this.#options.mountOptions, mapsOwners: this.#options.mapsOwners});
	}

	#show({id, info}: SnapshotRecord): SnapshotInfo {
		return this.#options.hasUpperdirLabel ? {...info, labels: {...info.labels, [upperdirLabel]: this.#directories.upper(id)}} : info;
	}
}

function checkName(name: string): void {
	if (name === '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'a snapshot needs a name that is not empty');
	}
}

function fieldsOf(info: SnapshotInfo): (field: readonly string[]) => string | undefined {
	return ([first, ...rest]) => {
		if (first === 'labels') {
			const key = rest.join('.');
			return Object.hasOwn(info.labels, key) ? info.labels[key] : undefined;
		}
		return rest.length === 0 && (first === 'kind' || first === 'name' || first === 'parent') ? info[first] : undefined;
	};
}
