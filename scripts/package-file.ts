/** What of the checkout's package.json the published one is made from. */
export interface SourcePackage {
	readonly name: string;
	readonly version: string;
	readonly description: string;
	readonly license: string;
	readonly type: string;
	readonly engines: Readonly<Record<string, string>>;
	readonly os: readonly string[];
	readonly exports: Readonly<Record<string, string>>;
	readonly bin: Readonly<Record<string, string>>;
	readonly dependencies: Readonly<Record<string, string>>;
	readonly optionalDependencies: Readonly<Record<string, string>>;
	readonly devDependencies: Readonly<Record<string, string>>;
}

/** The published package.json: the same doors, to JavaScript with types, and only what running needs. */
export function packageFile(source: SourcePackage, {head, folders, besides}: {readonly head: string | undefined; readonly folders: readonly string[]; readonly besides: readonly string[]}): object {
	const {name, version, description, license, type, engines, os, bin, dependencies, optionalDependencies} = source;
	const doors = Object.entries(source.exports).map(([door, file]) => [door, file.endsWith('.ts') ? {types: file.replace(/\.ts$/, '.d.ts'), default: file.replace(/\.ts$/, '.js')} : file]);
	return {
		name, version, description, license, type, engines, os,
		...head === undefined ? {} : {gitHead: head},
		exports: Object.fromEntries(doors) as Record<string, unknown>,
		bin,
		files: [...folders, ...besides],
		dependencies,
		optionalDependencies,
		// The suites of keelson/testing name its types; who only runs keelson does without.
		peerDependencies: {ava: source.devDependencies['ava']?.replace(/^\d/, '>=$&') ?? '*'},
		peerDependenciesMeta: {ava: {optional: true}},
	};
}
