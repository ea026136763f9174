import {dateOf} from '../../api/convert/timestamp.ts';
import {bytesOf} from '../../api/convert/bytes.ts';
import {Kind, SnapshotsDefinition, type Info} from '../../api/gen/services/snapshots/v1/snapshots.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import type {CommitSnapshotOptions, SnapshotInfo, SnapshotKind, SnapshotOptions, Snapshotter, SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import type {Connection} from './connection.ts';
import {required} from './content-messages.ts';
import {withoutRoot, withRoot} from './root-label.ts';

const {fullName: SERVICE, methods} = SnapshotsDefinition;
const NEVER = new Date(0);

/** A snapshotter of another process. Owns the connection. */
export class SnapshotProxy implements Snapshotter, AsyncDisposable {
	readonly #connection: Connection;
	readonly #snapshotter: string;

	/** `snapshotter` is the name that the peer knows it by. */
	constructor(connection: Connection, snapshotter: string) {
		this.#connection = connection;
		this.#snapshotter = snapshotter;
	}

	async stat(key: string): Promise<SnapshotInfo> {
		const {info} = await this.#connection.unary(SERVICE, methods.stat, {snapshotter: this.#snapshotter, key});
		return snapshotInfo(info);
	}

	async update(name: string, labels: Labels, fields: readonly string[]): Promise<SnapshotInfo> {
		const wanted = {name, parent: '', kind: Kind.UNKNOWN, createdAt: undefined, updatedAt: undefined, labels: withRoot(labels)};
		const {info} = await this.#connection.unary(SERVICE, methods.update, {snapshotter: this.#snapshotter, info: wanted, updateMask: fields});
		return snapshotInfo(info);
	}

	async usage(key: string, signal?: AbortSignal): Promise<SnapshotUsage> {
		const {size, inodes} = await this.#connection.unary(SERVICE, methods.usage, {snapshotter: this.#snapshotter, key}, signal);
		return {size: bytesOf(size, 'size'), inodes: bytesOf(inodes, 'inodes')};
	}

	async mounts(key: string): Promise<readonly Mount[]> {
		return (await this.#connection.unary(SERVICE, methods.mounts, {snapshotter: this.#snapshotter, key})).mounts;
	}

	async prepare(key: string, parent: string, {labels = {}, signal}: SnapshotOptions = {}): Promise<readonly Mount[]> {
		const request = {snapshotter: this.#snapshotter, key, parent, labels: withRoot(labels)};
		return (await this.#connection.unary(SERVICE, methods.prepare, request, signal)).mounts;
	}

	async view(key: string, parent: string, {labels = {}, signal}: SnapshotOptions = {}): Promise<readonly Mount[]> {
		const request = {snapshotter: this.#snapshotter, key, parent, labels: withRoot(labels)};
		return (await this.#connection.unary(SERVICE, methods.view, request, signal)).mounts;
	}

	async commit(name: string, key: string, {labels = {}, parent = '', signal}: CommitSnapshotOptions = {}): Promise<void> {
		await this.#connection.unary(SERVICE, methods.commit, {snapshotter: this.#snapshotter, name, key, labels: withRoot(labels), parent}, signal);
	}

	async remove(key: string): Promise<void> {
		await this.#connection.unary(SERVICE, methods.remove, {snapshotter: this.#snapshotter, key});
	}

	async *list(filters: readonly string[] = [], signal?: AbortSignal): AsyncGenerator<SnapshotInfo, void, undefined> {
		for await (const {info} of this.#connection.stream(SERVICE, methods.list, {snapshotter: this.#snapshotter, filters}, signal)) {
			yield* info.map(snapshotInfo);
		}
	}

	/** Does nothing where the peer has nothing to clean up. */
	async cleanup(signal?: AbortSignal): Promise<void> {
		try {
			await this.#connection.unary(SERVICE, methods.cleanup, {snapshotter: this.#snapshotter}, signal);
		} catch (error) {
			if (!isKeelsonError(error, 'UNIMPLEMENTED')) {
				throw error;
			}
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#connection[Symbol.dispose]();
	}
}

function snapshotInfo(info: Info | undefined): SnapshotInfo {
	const {name, parent, kind, createdAt, updatedAt, labels} = required(info, 'info');
	return {name, parent, kind: kindOf(kind, name), createdAt: dateOf(createdAt) ?? NEVER, updatedAt: dateOf(updatedAt) ?? NEVER, labels: withoutRoot(labels)};
}

function kindOf(kind: Kind, name: string): SnapshotKind {
	switch (kind) {
		case Kind.VIEW:
			return 'view';
		case Kind.ACTIVE:
			return 'active';
		case Kind.COMMITTED:
			return 'committed';
		case Kind.UNKNOWN:
			throw new KeelsonError('INTERNAL', `the peer does not say what kind of snapshot ${name} is`);
		default:
			throw new KeelsonError('INTERNAL', `the peer says that snapshot ${name} is of kind ${String(kind)}`);
	}
}
