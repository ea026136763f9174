import {KeelsonError} from '../../kernel/errors.ts';
import type {Database} from './database.ts';

/** One step of a schema: statements, or what runs them. It is never changed once released; a new one is added at the end. */
export type Migration = string | ((database: Database) => void);

/** Brings a file to the last step, each step whole or not at all; `user_version` counts the steps that a file has had. */
export function migrate(database: Database, migrations: readonly Migration[]): void {
	const version = database.get<{user_version: number}>('PRAGMA user_version')?.user_version ?? 0;
	if (version > migrations.length) {
		throw new KeelsonError('FAILED_PRECONDITION', `${database.path} has schema ${version}, written by a newer version; this one knows ${migrations.length}`);
	}
	for (const [step, migration] of migrations.entries()) {
		if (step < version) {
			continue;
		}
		database.transaction(() => {
			if (typeof migration === 'string') {
				database.exec(migration);
			} else {
				migration(database);
			}
			database.exec(`PRAGMA user_version = ${step + 1}`);
		});
	}
}
