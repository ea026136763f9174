import type {Migration} from '../../lib/sqlite/migrate.ts';

/**
 * An activation is `activating` until all of it is mounted, `leaving` once it is being undone. Its number, which is never given twice, names its
 * directory. `active` and `system` are JSON. `boot` says of which run of the machine the mounts are.
 */
export const migrations: readonly Migration[] = [`
	CREATE TABLE activation (
		number INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, lease TEXT, labels TEXT NOT NULL,
		active TEXT NOT NULL, system TEXT NOT NULL, boot TEXT NOT NULL, UNIQUE (namespace, name)
	);
`];
