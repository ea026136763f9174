import {glob, readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {rolldown, type ChunkingContext, type OutputChunk, type Plugin} from 'rolldown';

export interface Bundling {
	/** The folder of compiled modules, laid out as the checkout is. */
	readonly from: string;
	readonly into: string;
	/** The folder whose node_modules holds what is imported. */
	readonly top: string;
	/** What `exports` of package.json names, as compiled files; an asterisk stands for the same word wherever it stands. */
	readonly doors: readonly string[];
}

/** Where all is that is not named from outside. Workers lie there too: what starts one looks beside itself. */
const FOLDER = 'bundle';

/** Stays as it is installed: machine code; what few daemons load; and tsyringe, of which a plugin and the kernel must have the same copy. */
const external = ['koffi', 'undici', '@grpc/grpc-js', 'tsyringe', 'reflect-metadata', 'ava'];
/** For a command, which no plugin is loaded into: a hundred files are a tenth of its start. What describes channels to those who debug them stays outside. */
const ofCommand: Readonly<Record<string, readonly string[]>> = {'@grpc/grpc-js': ['@grpc/proto-loader']};

/** A chunk's name, and whether a module belongs to it; the first that wants it has it. */
type Groups = readonly (readonly [name: string, wants: (id: string, context: ChunkingContext) => boolean])[];

/**
 * Joins compiled modules into few files, since importing some seven hundred is half of a start: each door, plugin and program stays where
 * it is, as an import from `bundle/`. Resolves with the names of all files that it wrote; rejects when one cannot be joined.
 *
 * Doors, plugins and the daemon share every module, so that there is one kernel for all. What is a process or a thread of its own (the
 * shim, the client's command, each worker) is joined apart, and loads nothing but its own.
 */
export async function bundle({from, into, top, doors}: Bundling): Promise<readonly string[]> {
	const find = async (...patterns: readonly string[]): Promise<string[]> => (await Array.fromAsync(glob(patterns, {cwd: from}))).toSorted();
	const opened = (await Promise.all(doors.map(async door => (await find(door)).filter(name => fits(door, name))))).flat();
	const plugins = await find('plugins/*/plugin.js');
	const chunks: OutputChunk[] = [];

	const join = async (names: readonly string[], {at = withoutEnding, groups = [], outside = external}: {at?: (name: string) => string; groups?: Groups; outside?: readonly string[]} = {}): Promise<void> => {
		await using build = await rolldown({
			input: Object.fromEntries(names.map(name => [at(name), path.join(from, name)])),
			external: [/^node:/v, ...outside], plugins: [takeBuiltins], platform: 'node', treeshake: false, cwd: from, preserveEntrySignatures: 'strict',
			resolve: {modules: ['node_modules', path.join(top, 'node_modules')]},
			onLog: (_level, {code, message}) => {
				// What the shim imports when it is needed, a plugin may import at once.
				if (code !== 'INEFFECTIVE_DYNAMIC_IMPORT') {
					throw new Error(`cannot join ${names.length === 1 ? names[0] : `${names.length} modules`}: ${message}`);
				}
			},
		});
		const {output} = await build.write({
			dir: into, format: 'esm', entryFileNames: '[name].js', chunkFileNames: `${FOLDER}/[name]-[hash].js`,
			codeSplitting: {groups: groups.map(([group, wants], index) => ({
				debugName: group, priority: groups.length - index, name: (id, context) => wants(id, context) ? group : null,
			}))},
		});
		chunks.push(...output.filter(part => part.type === 'chunk'));
	};

	await join([...opened, ...plugins, 'bin/keelsond.js'], {groups: groupsByReach({
		kernel: opened.filter(name => /^(?:kernel|contracts)\//v.test(name) && name !== 'contracts/testing.js').map(name => path.join(from, name)),
		client: opened.filter(name => name.startsWith('client/')).map(name => path.join(from, name)),
		daemon: plugins.map(name => path.join(from, name)),
	})});
	await join(['bin/keelson.js'], {outside: external.flatMap(name => ofCommand[name] ?? [name])});
	await join(['bin/containerd-shim-keelson-v2.js']);
	for (const worker of await find('plugins/*/*-worker.js')) {
		await join([worker], {at: name => `${FOLDER}/${path.basename(name, '.js')}`});
	}
	const notices = await writeNotices(into, chunks.flatMap(({moduleIds}) => moduleIds));
	return [...chunks.map(({fileName}) => fileName), notices];
}

/**
 * Takes what is built into node from `process.getBuiltinModule`. An import makes a namespace of each, and asks it for everything that it could
 * give, as node:http's WebSocket, which is node's whole undici: 70 ms in a thread that opens a connection, 7 in others.
 */
const takeBuiltins: Plugin = {
	name: 'take-builtins',
	renderChunk: {handler: code => {
		const lines = code.split('\n');
		for (let at = 0; lines[at]?.startsWith('import '); at++) {
			lines[at] = takeBuiltin(lines[at] as string);
		}
		return lines.join('\n');
	}},
};

function takeBuiltin(statement: string): string {
	const {from, what} = /^import (?:(?<what>.+) from )?"(?<from>node:[^"]+)";$/v.exec(statement)?.groups ?? {};
	if (from === undefined) {
		return statement;
	}
	if (what === undefined) {
		return '';
	}
	// A name, names in braces, or both.
	const {whole, names} = /^(?<whole>[\w$]+)?(?:, )?(?<names>\{.+\})?$/v.exec(what)?.groups ?? {};
	if (whole === undefined && names === undefined) {
		throw new Error(`cannot take a module that is built in as ${JSON.stringify(statement)} has it`);
	}
	return [whole, names?.replaceAll(' as ', ': ')].filter(name => name !== undefined).map(name => `const ${name} = process.getBuiltinModule("${from}");`).join(' ');
}

/** True where each asterisk of the door stands for the same. */
function fits(door: string, name: string): boolean {
	const [word = ''] = /^[^.\/]*/v.exec(name.slice(door.indexOf('*'))) ?? [];
	return name === door.replaceAll('*', word);
}

function withoutEnding(name: string): string {
	return name.replace(/\.js$/v, '');
}

/**
 * What every door needs; what the client and plugins have in common (the messages of the wire); and the rest of the plugins. What is
 * imported only when it is needed has a chunk of its own.
 */
function groupsByReach(roots: Readonly<Record<'kernel' | 'client' | 'daemon', readonly string[]>>): Groups {
	const known = new Map<string, ReadonlySet<string>>();
	const isIn = (root: keyof typeof roots, id: string, context: ChunkingContext): boolean => {
		const reached = known.get(root) ?? reachOf(roots[root], context);
		known.set(root, reached);
		return reached.has(id);
	};
	return [
		['kernel', (id, context) => isIn('kernel', id, context)],
		['api', (id, context) => isIn('client', id, context) && isIn('daemon', id, context)],
		['daemon', (id, context) => isIn('daemon', id, context)],
	];
}

/** The modules that load with these. */
function reachOf(roots: readonly string[], context: ChunkingContext): ReadonlySet<string> {
	const reached = new Set(roots);
	// A set's iteration comes to what is added meanwhile.
	for (const id of reached) {
		for (const imported of context.getModuleInfo(id)?.importedIds ?? []) {
			if (path.isAbsolute(imported)) {
				reached.add(imported);
			}
		}
	}
	return reached;
}

/** The licences of the libraries whose code was joined: each asks to go with copies of it. */
async function writeNotices(into: string, modules: readonly string[]): Promise<string> {
	const folders = new Set(modules.map(id => /^.*\/node_modules\/(?:@[^\/]+\/)?[^\/]+(?=\/)/v.exec(id)?.[0]).filter(folder => folder !== undefined));
	const notices = await Promise.all([...folders].toSorted().map(async folder => {
		const {name, version, license} = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as {name: string; version: string; license: string};
		const file = (await readdir(folder)).find(entry => /^(?:licen[cs]e|copying)/iv.test(entry));
		const text = file === undefined ? `${license}; its package holds no text of it` : (await readFile(path.join(folder, file), 'utf8')).trim();
		return `${name} ${version}\n\n${text}\n`;
	}));
	const name = `${FOLDER}/LICENSES`;
	await writeFile(path.join(into, name), notices.join(`\n${'-'.repeat(72)}\n\n`));
	return name;
}
