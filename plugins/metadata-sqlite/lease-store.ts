import {randomBytes} from 'node:crypto';
import type {LeaseInfo, LeaseResource, LeaseStore} from '../../contracts/metadata/metadata.ts';
import {parseDigest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {nodeOf, type Node} from './collect/node.ts';
import {decodeLabels, encodeLabels} from './labels.ts';
import {requireLease, type Ledger, type Owner} from './ledger.ts';

interface LeaseRow {
	readonly id: string;
	readonly labels: string;
	readonly created_at: number;
}

const ID_BYTES_MAX = 4096;

export class SqliteLeaseStore implements LeaseStore {
	readonly #ledger: Ledger;
	readonly #owner: Owner;
	readonly #collect: () => Promise<unknown>;

	/** `collect` is what a synchronous delete waits for. */
	constructor(ledger: Ledger, owner: Owner, collect: () => Promise<unknown>) {
		this.#ledger = ledger;
		this.#owner = owner;
		this.#collect = collect;
	}

	async create({id: asked, labels}: Pick<LeaseInfo, 'id' | 'labels'>): Promise<LeaseInfo> {
		const id = asked === '' ? newId() : asked;
		if (Buffer.byteLength(id) > ID_BYTES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `a lease id has ${Buffer.byteLength(id)} bytes, at most ${ID_BYTES_MAX} are allowed`);
		}
		const {namespace} = this.#owner;
		const encoded = encodeLabels(labels);
		return this.#ledger.change(change => {
			change.useNamespace(namespace);
			if (change.database.run('INSERT OR IGNORE INTO lease (namespace, id, labels, created_at) VALUES (?, ?, ?, ?)', namespace, id, encoded, change.now) === 0) {
				throw new KeelsonError('ALREADY_EXISTS', `lease ${JSON.stringify(id)}: already exists`);
			}
			change.touch(nodeOf('lease', namespace, id));
			return {id, labels: decodeLabels(encoded), createdAt: new Date(change.now)};
		});
	}

	async delete(id: string, {sync = false}: {readonly sync?: boolean} = {}): Promise<void> {
		this.#ledger.change(change => {
			requireLease(change.database, this.#owner.namespace, id);
			change.database.run('DELETE FROM lease WHERE namespace = ? AND id = ?', this.#owner.namespace, id);
			change.loosen();
		});
		if (sync) {
			await this.#collect();
		}
	}

	async list(filters: readonly string[] = []): Promise<readonly LeaseInfo[]> {
		const matches = compileFilters(filters);
		return this.#ledger.database.all<LeaseRow>('SELECT * FROM lease WHERE namespace = ? ORDER BY id', this.#owner.namespace)
			.map(({id, labels, created_at}) => ({id, labels: decodeLabels(labels), createdAt: new Date(created_at)}))
			.filter(({id, labels}) => matches(([field, key = '']) => field === 'id' ? id : field === 'labels' && Object.hasOwn(labels, key) ? labels[key] : undefined));
	}

	async add(id: string, resource: LeaseResource): Promise<void> {
		const {namespace} = this.#owner;
		const node = nodeOfResource(namespace, resource);
		this.#ledger.change(change => {
			change.lease({namespace, lease: id}, resource.type, resource.id);
			change.touch(node);
		});
	}

	async remove(id: string, resource: LeaseResource): Promise<void> {
		const {namespace} = this.#owner;
		nodeOfResource(namespace, resource);
		this.#ledger.change(change => {
			requireLease(change.database, namespace, id);
			change.unlease({namespace, lease: id}, resource.type, resource.id);
			change.loosen();
		});
	}

	async resources(id: string): Promise<readonly LeaseResource[]> {
		const {database} = this.#ledger;
		requireLease(database, this.#owner.namespace, id);
		return database.all<LeaseResource>('SELECT type, id FROM lease_resource WHERE namespace = ? AND lease = ? ORDER BY type, id', this.#owner.namespace, id)
			.map(resource => ({...resource}));
	}
}

// As containerd's clients make them: a time in nanoseconds, and four characters of chance.
function newId(): string {
	const nanoseconds = BigInt(Date.now()) * 1_000_000n + process.hrtime.bigint() % 1_000_000n;
	return `${nanoseconds}-${randomBytes(3).toString('base64url')}`;
}

function nodeOfResource(namespace: string, {type, id}: LeaseResource): Node {
	if (id === '') {
		throw new KeelsonError('INVALID_ARGUMENT', `a resource of type ${JSON.stringify(type)} must have an id`);
	}
	const [kind, snapshotter, ...more] = type.split('/');
	if (kind === 'snapshots') {
		if (snapshotter === undefined || snapshotter === '' || more.length > 0) {
			throw new KeelsonError('INVALID_ARGUMENT', `resource type ${JSON.stringify(type)}: expected snapshots/<snapshotter>`);
		}
		return nodeOf('snapshot', namespace, `${snapshotter}/${id}`);
	}
	switch (type) {
		case 'content': {
			return nodeOf('content', namespace, parseDigest(id));
		}
		case 'ingests': {
			return nodeOf('ingest', namespace, id);
		}
		case 'images': {
			return nodeOf('image', namespace, id);
		}
		default: {
			throw new KeelsonError('UNIMPLEMENTED', `resource type ${JSON.stringify(type)} cannot be leased`);
		}
	}
}
