import type {Activation, ActiveMount} from '../../contracts/mount-manager/mount-manager.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import type {Database} from '../../lib/sqlite/database.ts';

export type ActivationState = 'activating' | 'active' | 'leaving';

export interface ActivationRecord {
	/** Never given twice. */
	readonly number: number;
	readonly namespace: string;
	readonly name: string;
	readonly state: ActivationState;
	readonly lease: string | undefined;
	readonly labels: Labels;
	/** While it is activating: none, its directory says what there is. */
	readonly active: readonly ActiveMount[];
	readonly system: readonly Mount[];
	readonly boot: string;
}

interface Row extends Omit<ActivationRecord, 'lease' | 'labels' | 'active' | 'system'> {
	readonly lease: string | null;
	readonly labels: string;
	readonly active: string;
	readonly system: string;
}

/** What is activated, as it stands in the database. */
export class ActivationRecords {
	readonly #database: Database;
	readonly #boot: string;

	/** `boot` is the machine's boot id. */
	constructor(database: Database, boot: string) {
		this.#database = database;
		this.#boot = boot;
	}

	/** Answers the new number; undefined when the name is taken. */
	begin({namespace, name, lease, labels}: Pick<ActivationRecord, 'namespace' | 'name' | 'lease' | 'labels'>): number | undefined {
		return this.#database.get<{number: number}>(
			"INSERT INTO activation (namespace, name, state, lease, labels, active, system, boot) VALUES (?, ?, 'activating', ?, ?, '[]', '[]', ?) ON CONFLICT DO NOTHING RETURNING number",
			namespace, name, lease ?? null, JSON.stringify(labels), this.#boot,
		)?.number;
	}

	/** No number up to this one is given any more. */
	skipTo(number: number): void {
		this.#database.transaction(() => {
			this.#database.run("INSERT INTO sqlite_sequence (name, seq) SELECT 'activation', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'activation')");
			this.#database.run("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'activation'", number);
		});
	}

	complete(number: number, active: readonly ActiveMount[], system: readonly Mount[]): void {
		this.#database.run("UPDATE activation SET state = 'active', active = ?, system = ? WHERE number = ?", JSON.stringify(active), JSON.stringify(system), number);
	}

	/** From now on nobody is given it. */
	leave(number: number): void {
		this.#database.run("UPDATE activation SET state = 'leaving' WHERE number = ?", number);
	}

	remove(number: number): void {
		this.#database.run('DELETE FROM activation WHERE number = ?', number);
	}

	find(namespace: string, name: string): ActivationRecord | undefined {
		const row = this.#database.get<Row>('SELECT * FROM activation WHERE namespace = ? AND name = ?', namespace, name);
		return row === undefined ? undefined : recordOf(row);
	}

	at(number: number): ActivationRecord | undefined {
		const row = this.#database.get<Row>('SELECT * FROM activation WHERE number = ?', number);
		return row === undefined ? undefined : recordOf(row);
	}

	/** By namespace and name. */
	all(): readonly ActivationRecord[] {
		return this.#database.all<Row>('SELECT * FROM activation ORDER BY namespace, name').map(row => recordOf(row));
	}

	in(namespace: string): readonly ActivationRecord[] {
		return this.#database.all<Row>('SELECT * FROM activation WHERE namespace = ? ORDER BY name', namespace).map(row => recordOf(row));
	}

	isOfThisBoot({boot}: ActivationRecord): boolean {
		return boot === this.#boot;
	}
}

/** What others see of a record. */
export function activationOf({name, active, system, labels}: ActivationRecord): Activation {
	return {name, active, system, labels};
}

function recordOf({lease, labels, active, system, ...row}: Row): ActivationRecord {
	const performed = JSON.parse(active) as (Omit<ActiveMount, 'mountedAt'> & {readonly mountedAt: string})[];
	return {
		...row,
		lease: lease ?? undefined,
		labels: JSON.parse(labels) as Labels,
		active: performed.map(one => ({...one, mountedAt: new Date(one.mountedAt)})),
		system: JSON.parse(system) as Mount[],
	};
}
