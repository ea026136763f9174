/** A TOML table as plain values. */
export type Table = Record<string, unknown>;

export function isTable(value: unknown): value is Table {
	return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

export function valueAt(table: Table, path: readonly PropertyKey[]): unknown {
	let value: unknown = table;
	for (const key of path) {
		value = Array.isArray(value) ? value[Number(key)] : isTable(value) && Object.hasOwn(value, key) ? value[String(key)] : undefined;
	}
	return value;
}

/** Adds `value` at `path`, merged with what stands there. */
export function setAt(table: Table, path: readonly string[], value: unknown): void {
	const [key, ...rest] = path as [string, ...string[]];
	const below = table[key];
	if (rest.length > 0) {
		setAt(isTable(below) ? below : table[key] = {}, rest, value);
	} else {
		table[key] = isTable(below) && isTable(value) ? deepMerge(below, value) : value;
	}
}

export function removeAt(table: Table, path: readonly PropertyKey[]): void {
	const above = valueAt(table, path.slice(0, -1));
	if (isTable(above)) {
		delete above[String(path.at(-1))];
	}
}

/** Tables merge key by key; anything else in `over` replaces what is below. */
export function deepMerge(below: Table, over: Table): Table {
	const merged: Table = {...below};
	for (const [key, value] of Object.entries(over)) {
		const old = Object.hasOwn(merged, key) ? merged[key] : undefined;
		// Not by assignment: `__proto__` is a key like another.
		Object.defineProperty(merged, key, {
			value: isTable(old) && isTable(value) ? deepMerge(old, value) : value, configurable: true, enumerable: true, writable: true,
		});
	}
	return merged;
}

/**
 * Lays a file's table over another as containerd does: empty scalars override nothing, arrays are united, `replaced` tables
 * are replaced key by key, tables of `plugins` merge to the bottom and there everything overrides.
 */
export function layOver(below: Table, over: Table): Table {
	const merged: Table = {...below};
	for (const [key, value] of Object.entries(over)) {
		const old = merged[key];
		if (Array.isArray(value) && Array.isArray(old)) {
			merged[key] = [...old, ...value.filter((item) => !old.includes(item))];
		} else if (key === 'plugins' && isTable(value) && isTable(old)) {
			merged[key] = deepMerge(old, value);
		} else if (REPLACED.has(key) && isTable(value) && isTable(old)) {
			merged[key] = {...old, ...value};
		} else if (isTable(value) && isTable(old)) {
			merged[key] = layOver(old, value);
		} else if (old === undefined || (value !== '' && value !== 0 && value !== false)) {
			merged[key] = value;
		}
	}
	return merged;
}

const REPLACED = new Set(['proxy_plugins', 'stream_processors', 'timeouts']);
