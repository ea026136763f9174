import {lstat, realpath, stat} from 'node:fs/promises';
import {registerHooks} from 'node:module';
import {dirname, isAbsolute, join} from 'node:path';
import {getuid} from 'node:process';
import {fileURLToPath, pathToFileURL} from 'node:url';
import type {Config, ModuleName} from './config.ts';
import {within} from './deadline.ts';
import {KeelsonError} from './errors.ts';
import {pluginApi, pluginApiOf, type Plugin, type PluginMaker, type Refuse} from './plugin.ts';

const LOAD_TIMEOUT_MS = 10_000;
const MODULE = 'io.keelson.module.v1';

/** A module, or one plugin of it, that cannot be used. */
export interface LoadFailure {
	/** The plugin's id where it is known, or else `io.keelson.module.v1.` and the module's name, or the key of the configuration that it refuses. */
	readonly id: string;
	readonly error: KeelsonError;
}

export interface Loaded {
	readonly plugins: readonly Plugin[];
	readonly failures: readonly LoadFailure[];
	/** Which module a plugin came with. */
	readonly origins?: ReadonlyMap<Plugin, ModuleName>;
}

/** Imports all modules that the configuration names, at once; one that fails does not keep the others. */
export async function loadModules(config: Config): Promise<Required<Loaded>> {
	const seen = new Set<string>();
	const failures: LoadFailure[] = [];
	const note = (id: string, message: string, cause?: unknown): void => {
		failures.push({id, error: new KeelsonError('FAILED_PRECONDITION', message, {cause})});
	};
	const plugins = await Promise.all(config.modules.map(async (module) => {
		const fail = async (id: string, reason: string, cause?: unknown): Promise<void> => {
			const place = await config.places.ofItem('modules', module.name, module.file);
			note(id || `${MODULE}.${module.name}`, `${id === '' ? '' : `plugin ${id} of `}module ${module.name}${place} ${reason}`, cause);
		};
		try {
			const path = await locate(module);
			if (seen.has(path)) {
				return [];
			}
			seen.add(path);
			await refuseUnsafe(path, module);
			const late = (): Error => new KeelsonError('DEADLINE_EXCEEDED', `it has not loaded after ${LOAD_TIMEOUT_MS} ms: it waits at its top level`);
			const {plugin} = await within(import(pathToFileURL(path).href) as Promise<{plugin?: unknown}>, LOAD_TIMEOUT_MS, late);
			const refused: Parameters<Refuse>[] = [];
			const found = await pluginsOf(plugin, fail, (make) => make(config.daemon, (...refusal) => refused.push(refusal)));
			for (const [at, reason] of refused) {
				note(`${MODULE}.${at.join('.')}`, `config of module ${module.name}: key ${at.join('.')}${await config.places.of(at)} ${reason}`);
			}
			return found;
		} catch (error) {
			await fail('', `cannot be loaded: ${describe(error)}`, error);
			return [];
		}
	}));
	const origins = new Map(plugins.flatMap((each, index) => each.map((plugin) => [plugin, config.modules[index] as ModuleName])));
	return {plugins: plugins.flat(), failures, origins};
}

async function locate({name, file, path}: ModuleName): Promise<string> {
	if (!isAbsolute(path)) {
		return realpath(fileURLToPath(resolvePackage(name, file)));
	}
	// A directory stands for its plugin; a compiled package has JavaScript where the source has TypeScript.
	const candidates = [path, join(path, 'plugin.ts'), join(path, 'plugin.js'), path.replace(/\.ts$/, '.js')];
	for (const candidate of candidates) {
		const found = await stat(candidate).catch(() => undefined);
		if (found?.isFile() === true) {
			return realpath(candidate);
		}
	}
	throw new KeelsonError('NOT_FOUND', `there is no file ${path}, and no plugin.ts or plugin.js in a directory of that name`);
}

/** Resolves as an `import` in `file` would, which Node offers to resolve hooks alone. */
function resolvePackage(name: string, file: string): string {
	const token = `keelson-module:${name}`;
	const hooks = registerHooks({
		resolve: (specifier, context, next) => specifier === token
			? next(name, {...context, parentURL: pathToFileURL(file).href})
			: next(specifier, context),
	});
	try {
		return import.meta.resolve(token);
	} finally {
		hooks.deregister();
	}
}

// Whoever may write a module, or swap a directory above it, would be root.
async function refuseUnsafe(path: string, {file, isBuiltIn}: ModuleName): Promise<void> {
	const trusted = new Set([0, getuid?.()]);
	if (isBuiltIn) {
		trusted.add((await lstat(file)).uid);
	}
	for (let each = path, above = ''; each !== above; above = each, each = dirname(each)) {
		const {mode, uid} = await lstat(each);
		const isSticky = each !== path && (mode & 0o1000) !== 0;
		if ((mode & 0o002) !== 0 && !isSticky) {
			throw new KeelsonError('PERMISSION_DENIED', `${each} is writable by everyone (mode ${(mode & 0o7777).toString(8)})`);
		}
		if (!trusted.has(uid)) {
			throw new KeelsonError('PERMISSION_DENIED', `${each} is owned by user ${uid}, neither root nor the daemon's user ${getuid?.()}`);
		}
		if (isBuiltIn) {
			// The kernel itself lies in the directories above: it is no safer than they are.
			return;
		}
	}
}

async function pluginsOf(exported: unknown, fail: (id: string, reason: string) => Promise<void>, call: (make: PluginMaker) => readonly Plugin[]): Promise<Plugin[]> {
	if (exported === undefined) {
		throw new KeelsonError('FAILED_PRECONDITION', 'it exports no `plugin`');
	}
	const plugins: Plugin[] = [];
	for (const value of [exported].flat()) {
		const api = pluginApiOf(value);
		if (api === undefined) {
			throw new KeelsonError('FAILED_PRECONDITION', 'its `plugin` was not made by definePlugin');
		}
		const {id, provides} = value as Plugin;
		if (api !== pluginApi) {
			await fail(typeof value === 'function' ? '' : id, `was made for plugin API ${api}, this kernel has ${pluginApi}`);
		} else if (typeof value === 'function') {
			plugins.push(...await pluginsOf(call(value as PluginMaker), fail, call));
		} else if (id.startsWith(`${provides.type}.`)) {
			plugins.push(value as Plugin);
		} else {
			await fail(id, `provides ${provides.type}, with which its id must begin`);
		}
	}
	return plugins;
}

function describe(error: unknown): string {
	if (!(error instanceof Error)) {
		return String(error);
	}
	// Of what does not parse, Node puts file and line into the first line of the stack.
	const where = error instanceof SyntaxError ? /^(?:file:\/\/)?(?<where>\/.+:\d+)\n/.exec(error.stack ?? '')?.groups?.['where'] : undefined;
	return where === undefined ? error.message : `${where}: ${error.message}`;
}
