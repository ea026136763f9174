import type {Migration} from '../../lib/sqlite/migrate.ts';

/**
 * Times are milliseconds since 1970, labels JSON objects. A snapshot's `backend` is its key in the bare snapshotter, an ingest's its ref in the bare
 * content store; both hold a number that is never used twice, so what is left over can be told from what is new.
 */
export const migrations: readonly Migration[] = [`
	CREATE TABLE sequence (next INTEGER NOT NULL);
	INSERT INTO sequence VALUES (1);

	CREATE TABLE namespace (name TEXT PRIMARY KEY, labels TEXT NOT NULL) WITHOUT ROWID;

	CREATE TABLE image (
		namespace TEXT NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL, digest TEXT NOT NULL, target TEXT NOT NULL,
		created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (namespace, name)
	) WITHOUT ROWID;

	CREATE TABLE container (
		namespace TEXT NOT NULL, id TEXT NOT NULL, labels TEXT NOT NULL, image TEXT NOT NULL, snapshotter TEXT NOT NULL, snapshot_key TEXT NOT NULL,
		sandbox TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, runtime TEXT NOT NULL, extensions TEXT NOT NULL,
		options_type TEXT, options BLOB, spec_type TEXT, spec BLOB, PRIMARY KEY (namespace, id)
	);

	CREATE TABLE sandbox (
		namespace TEXT NOT NULL, id TEXT NOT NULL, labels TEXT NOT NULL, sandboxer TEXT NOT NULL,
		created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, runtime TEXT NOT NULL, extensions TEXT NOT NULL,
		options_type TEXT, options BLOB, spec_type TEXT, spec BLOB, PRIMARY KEY (namespace, id)
	);

	CREATE TABLE lease (
		namespace TEXT NOT NULL, id TEXT NOT NULL, labels TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (namespace, id)
	) WITHOUT ROWID;

	CREATE TABLE lease_resource (
		namespace TEXT NOT NULL, lease TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (namespace, lease, type, id),
		FOREIGN KEY (namespace, lease) REFERENCES lease (namespace, id) ON DELETE CASCADE
	) WITHOUT ROWID;

	CREATE TABLE content (
		namespace TEXT NOT NULL, digest TEXT NOT NULL, labels TEXT NOT NULL, size INTEGER NOT NULL,
		created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (namespace, digest)
	) WITHOUT ROWID;
	CREATE INDEX content_by_digest ON content (digest);

	-- Either begun in the bare store (backend), or a promise of a blob that is there already (shared, size).
	CREATE TABLE ingest (
		namespace TEXT NOT NULL, ref TEXT NOT NULL, backend TEXT, shared TEXT, expected TEXT, size INTEGER NOT NULL,
		started_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, PRIMARY KEY (namespace, ref)
	) WITHOUT ROWID;
	CREATE UNIQUE INDEX ingest_by_backend ON ingest (backend);
	CREATE INDEX ingest_by_shared ON ingest (shared);

	CREATE TABLE snapshot (
		number INTEGER PRIMARY KEY, namespace TEXT NOT NULL, snapshotter TEXT NOT NULL, name TEXT NOT NULL, backend TEXT NOT NULL,
		parent TEXT NOT NULL, labels TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
		UNIQUE (namespace, snapshotter, name), UNIQUE (snapshotter, backend)
	);
	CREATE INDEX snapshot_by_parent ON snapshot (namespace, snapshotter, parent);

	-- A commit that the bare snapshotter was asked for and whose row does not say so yet.
	CREATE TABLE snapshot_commit (
		namespace TEXT NOT NULL, snapshotter TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, backend TEXT NOT NULL,
		parent TEXT NOT NULL, labels TEXT NOT NULL, PRIMARY KEY (namespace, snapshotter, key)
	) WITHOUT ROWID;
`];
