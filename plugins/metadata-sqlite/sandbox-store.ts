import type {SandboxInfo, SandboxRecord, SandboxStore} from '../../contracts/metadata/metadata.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {anyColumns, anyOf, decodeExtensions, encodeExtensions} from './any-columns.ts';
import {referencesOf} from './collect/references.ts';
import {decodeLabels, encodeLabels, updatedMap} from './labels.ts';
import type {Change, Ledger, Owner} from './ledger.ts';

interface SandboxRow {
	readonly id: string;
	readonly labels: string;
	readonly created_at: number;
	readonly updated_at: number;
	readonly runtime: string;
	readonly extensions: string;
	readonly options_type: string | null;
	readonly options: Uint8Array | null;
	readonly spec_type: string | null;
	readonly spec: Uint8Array | null;
	readonly sandboxer: string;
}

const CHANGEABLE = ['labels', 'extensions', 'runtime', 'spec'] as const;

/** Records alone; the events of a sandbox's life belong to whoever runs it. */
export class SqliteSandboxStore implements SandboxStore {
	readonly #ledger: Ledger;
	readonly #owner: Owner;

	constructor(ledger: Ledger, owner: Owner) {
		this.#ledger = ledger;
		this.#owner = owner;
	}

	async get(id: string): Promise<SandboxInfo> {
		return this.#find(id);
	}

	async list(filters: readonly string[] = []): Promise<readonly SandboxInfo[]> {
		const matches = compileFilters(filters);
		return this.#ledger.database.all<SandboxRow>('SELECT * FROM sandbox WHERE namespace = ? ORDER BY id', this.#owner.namespace)
			.map(row => infoOf(row))
			.filter(sandbox => matches(path => sandboxField(sandbox, path)));
	}

	async create(sandbox: SandboxRecord): Promise<SandboxInfo> {
		const {id} = sandbox;
		parseIdentifier(id, 'sandbox id');
		const {namespace} = this.#owner;
		return this.#ledger.change(change => {
			change.useNamespace(namespace);
			const made = change.database.run(
				`INSERT OR IGNORE INTO sandbox (labels, sandboxer, runtime, extensions, options_type, options, spec_type, spec, created_at, updated_at, namespace, id)
					VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				...valuesOf(sandbox), change.now, change.now, namespace, id,
			);
			if (made === 0) {
				throw new KeelsonError('ALREADY_EXISTS', `sandbox ${JSON.stringify(id)}: already exists`);
			}
			touchReferences(change, namespace, sandbox.labels);
			return this.#find(id);
		});
	}

	async update(sandbox: SandboxRecord, fields: readonly string[]): Promise<SandboxInfo> {
		return this.#ledger.change(change => {
			const next = updatedSandbox(this.#find(sandbox.id), sandbox, fields);
			change.database.run(
				`UPDATE sandbox SET labels = ?, sandboxer = ?, runtime = ?, extensions = ?, options_type = ?, options = ?, spec_type = ?, spec = ?, updated_at = ?
					WHERE namespace = ? AND id = ?`,
				...valuesOf(next), change.now, this.#owner.namespace, sandbox.id,
			);
			touchReferences(change, this.#owner.namespace, next.labels);
			return this.#find(sandbox.id);
		});
	}

	async delete(id: string): Promise<void> {
		this.#ledger.change(change => {
			if (change.database.run('DELETE FROM sandbox WHERE namespace = ? AND id = ?', this.#owner.namespace, id) === 0) {
				throw notFound(id);
			}
			change.loosen();
		});
	}

	#find(id: string): SandboxInfo {
		const row = this.#ledger.database.get<SandboxRow>('SELECT * FROM sandbox WHERE namespace = ? AND id = ?', this.#owner.namespace, id);
		if (row === undefined) {
			throw notFound(id);
		}
		return infoOf(row);
	}
}

// The collector knows no sandboxes, only what they name.
function touchReferences(change: Change, namespace: string, labels: Labels): void {
	for (const node of referencesOf(namespace, labels)) {
		change.touch(node);
	}
}

function notFound(id: string): KeelsonError {
	return new KeelsonError('NOT_FOUND', `sandbox ${JSON.stringify(id)}: not found`);
}

function updatedSandbox(before: SandboxInfo, given: SandboxRecord, fields: readonly string[]): SandboxRecord {
	let next: SandboxRecord = before;
	if (fields.length === 0 && given.runtime.name !== before.runtime.name) {
		throw new KeelsonError('INVALID_ARGUMENT', `the runtime of sandbox ${JSON.stringify(before.id)} is ${JSON.stringify(before.runtime.name)} and cannot become ${JSON.stringify(given.runtime.name)} unless it is named`);
	}
	for (const field of fields.length === 0 ? CHANGEABLE : fields) {
		const labels = updatedMap('labels', next.labels, given.labels, field);
		const extensions = updatedMap('extensions', next.extensions, given.extensions, field);
		if (labels !== undefined) {
			next = {...next, labels};
		} else if (extensions !== undefined) {
			next = {...next, extensions};
		} else if (field === 'runtime') {
			next = {...next, runtime: given.runtime};
		} else if (field === 'spec') {
			const {spec: _, ...others} = next;
			next = given.spec === undefined ? others : {...others, spec: given.spec};
		} else {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update field ${JSON.stringify(field)} of sandbox ${JSON.stringify(before.id)}`);
		}
	}
	return next;
}

function sandboxField({id, runtime, sandboxer, labels}: SandboxInfo, [field, key = '']: readonly string[]): string | undefined {
	switch (field) {
		case 'id': {
			return id;
		}
		case 'runtime': {
			return key === 'name' ? runtime.name : undefined;
		}
		case 'sandboxer': {
			return sandboxer;
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

// In the order: labels, sandboxer, runtime, extensions, options_type, options, spec_type, spec.
function valuesOf({labels, sandboxer, runtime, extensions, spec}: SandboxRecord): ReadonlyArray<string | Uint8Array | null> {
	return [encodeLabels(labels), sandboxer, runtime.name, encodeExtensions(extensions), ...anyColumns(runtime.options), ...anyColumns(spec)];
}

function infoOf(row: SandboxRow): SandboxInfo {
	const options = anyOf(row.options_type, row.options);
	const spec = anyOf(row.spec_type, row.spec);
	return {
		id: row.id,
		labels: decodeLabels(row.labels),
		runtime: {name: row.runtime, ...(options === undefined ? {} : {options})},
		...(spec === undefined ? {} : {spec}),
		sandboxer: row.sandboxer,
		extensions: decodeExtensions(row.extensions),
		createdAt: new Date(row.created_at),
		updatedAt: new Date(row.updated_at),
	};
}
