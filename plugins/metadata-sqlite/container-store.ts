import type {ContainerInfo, ContainerRecord, ContainerStore} from '../../contracts/metadata/metadata.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {nodeOf} from './collect/node.ts';
import {CONTAINER_COLUMNS, containerInfo, containerValues} from './container-row.ts';
import {updatedMap} from './labels.ts';
import type {Ledger, Owner} from './ledger.ts';

const CHANGEABLE = ['labels', 'spec', 'extensions', 'image', 'snapshotkey'] as const;

export class SqliteContainerStore implements ContainerStore {
	readonly #ledger: Ledger;
	readonly #owner: Owner;

	constructor(ledger: Ledger, owner: Owner) {
		this.#ledger = ledger;
		this.#owner = owner;
	}

	async get(id: string): Promise<ContainerInfo> {
		return this.#find(id);
	}

	async list(filters: readonly string[] = []): Promise<readonly ContainerInfo[]> {
		const matches = compileFilters(filters);
		const all = this.#ledger.database.map(`SELECT ${CONTAINER_COLUMNS} FROM container WHERE namespace = ? ORDER BY id`, [this.#owner.namespace], containerInfo);
		return filters.length === 0 ? all : all.filter(container => matches(path => containerField(container, path)));
	}

	async create(container: ContainerRecord): Promise<ContainerInfo> {
		checkNewId(container.id);
		checkContainer(container);
		const {id, image, runtime} = container;
		const {namespace} = this.#owner;
		return this.#ledger.change(change => {
			change.useNamespace(namespace);
			const made = change.database.run(
				`INSERT OR IGNORE INTO container (labels, image, snapshotter, snapshot_key, sandbox, runtime, extensions, options_type, options, spec_type, spec,
					created_at, updated_at, namespace, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				...containerValues(container), change.now, change.now, namespace, id,
			);
			if (made === 0) {
				throw new KeelsonError('ALREADY_EXISTS', `container ${JSON.stringify(id)}: already exists`);
			}
			change.touch(nodeOf('container', namespace, id));
			change.event(namespace, '/containers/create', 'containerd.events.ContainerCreate', {id, image, runtime});
			return this.#find(id);
		});
	}

	async update(container: ContainerRecord, fields: readonly string[]): Promise<ContainerInfo> {
		const {namespace} = this.#owner;
		const {id} = container;
		parseIdentifier(id, 'container id');
		return this.#ledger.change(change => {
			const next = updatedContainer(this.#find(id), container, fields);
			checkContainer(next);
			change.database.run(
				`UPDATE container SET labels = ?, image = ?, snapshotter = ?, snapshot_key = ?, sandbox = ?, runtime = ?, extensions = ?, options_type = ?, options = ?,
					spec_type = ?, spec = ?, updated_at = ? WHERE namespace = ? AND id = ?`,
				...containerValues(next), change.now, namespace, id,
			);
			const info = this.#find(id);
			change.touch(nodeOf('container', namespace, id));
			change.event(namespace, '/containers/update', 'containerd.events.ContainerUpdate', {id, image: info.image, labels: info.labels, snapshotKey: info.snapshotKey});
			return info;
		});
	}

	async delete(id: string): Promise<void> {
		const {namespace} = this.#owner;
		this.#ledger.change(change => {
			if (change.database.run('DELETE FROM container WHERE namespace = ? AND id = ?', namespace, id) === 0) {
				throw notFound(namespace, id);
			}
			change.event(namespace, '/containers/delete', 'containerd.events.ContainerDelete', {id});
			change.loosen();
		});
	}

	#find(id: string): ContainerInfo {
		const [found] = this.#ledger.database.map(`SELECT ${CONTAINER_COLUMNS} FROM container WHERE namespace = ? AND id = ?`, [this.#owner.namespace, id], containerInfo);
		if (found === undefined) {
			throw notFound(this.#owner.namespace, id);
		}
		return found;
	}
}

function notFound(namespace: string, id: string): KeelsonError {
	return new KeelsonError('NOT_FOUND', `container ${JSON.stringify(id)} in namespace ${JSON.stringify(namespace)}: not found`);
}

/** In the words of containerd, which clients show to people as they are. */
function checkNewId(id: string): void {
	try {
		parseIdentifier(id, 'container id');
	} catch (error) {
		const {code, message} = KeelsonError.from(error);
		throw new KeelsonError(code, `create container failed validation: container.ID: ${message}`, {cause: error});
	}
}

function checkContainer({id, runtime, spec, snapshotter, snapshotKey, extensions}: ContainerRecord): void {
	const wrong = runtime.name === '' ? 'a runtime name must be given'
		: spec === undefined ? 'a spec must be given'
		: snapshotKey !== '' && snapshotter === '' ? `snapshot key ${JSON.stringify(snapshotKey)} needs a snapshotter`
		: Object.hasOwn(extensions, '') ? 'the name of an extension must not be empty'
		: undefined;
	if (wrong !== undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `container ${JSON.stringify(id)}: ${wrong}`);
	}
}

function updatedContainer(before: ContainerInfo, given: ContainerRecord, fields: readonly string[]): ContainerRecord {
	if (fields.length === 0 && (given.snapshotter !== before.snapshotter || given.runtime.name !== before.runtime.name)) {
		throw new KeelsonError('INVALID_ARGUMENT', `container ${JSON.stringify(before.id)}: snapshotter and runtime name cannot be changed`);
	}
	let next: ContainerRecord = before;
	for (const field of fields.length === 0 ? CHANGEABLE : fields) {
		const labels = updatedMap('labels', next.labels, given.labels, field);
		const extensions = updatedMap('extensions', next.extensions, given.extensions, field);
		if (labels !== undefined) {
			next = {...next, labels};
		} else if (extensions !== undefined) {
			next = {...next, extensions};
		} else if (field === 'spec') {
			const {spec: _, ...others} = next;
			next = given.spec === undefined ? others : {...others, spec: given.spec};
		} else if (field === 'image') {
			next = {...next, image: given.image};
		} else if (field === 'snapshotkey') {
			next = {...next, snapshotKey: given.snapshotKey};
		} else {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update field ${JSON.stringify(field)} of container ${JSON.stringify(before.id)}`);
		}
	}
	return next;
}

function containerField({id, runtime, image, labels}: ContainerInfo, [field, key = '']: readonly string[]): string | undefined {
	switch (field) {
		case 'id': {
			return id;
		}
		case 'runtime': {
			return key === 'name' ? runtime.name : undefined;
		}
		case 'image': {
			return image === '' ? undefined : image;
		}
		case 'labels': {
			return Object.hasOwn(labels, key) ? labels[key] : undefined;
		}
		case undefined:
		default: {
			return undefined;
		}
	}
}
