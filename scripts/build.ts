/**
 * Compiles what is published into a folder that mirrors this one: a .d.ts for each .ts, a .js for each that is named from outside, the
 * others joined in bundle/, everything else as it is. So what looks for a neighbour finds it there too: launchers their program, modules
 * of config.toml their plugin.
 *
 *     node scripts/build.ts [FOLDER]     default build/; what an earlier run left there is used again
 */

import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, copyFile, glob, mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import {bundle} from './bundle.ts';
import {packageFile, type SourcePackage} from './package-file.ts';

const top = path.join(import.meta.dirname, '..');
const folders = ['api', 'bin', 'client', 'contracts', 'kernel', 'lib', 'plugins'];
const besides = ['config.toml', 'LICENSE', 'README.md', 'CHANGELOG.md'];

const into = path.resolve(process.argv[2] ?? path.join(top, 'build'));
/** What the compiler makes, and looks at again the next time. It begins with a dot, so that npm does not pack it. */
const compiled = path.join(into, '.compiled');
process.exitCode = await compile();
if (process.exitCode === 0) {
	const doors = await writePackageFile();
	const scripts = await bundle({from: compiled, into, top, doors});
	const kept = [...await copyRest(), ...await copyTypes(), ...scripts, 'package.json'];
	await removeStrangers(new Set(kept));
}

async function compile(): Promise<number> {
	const compiler = path.join(top, 'node_modules/.bin/tsc');
	const child = spawn(compiler, ['-p', path.join(top, 'tsconfig.build.json'), '--outDir', compiled, '--tsBuildInfoFile', path.join(compiled, '.tsbuildinfo')], {stdio: 'inherit'});
	const [code] = await once(child, 'exit') as [number | null];
	return code ?? 1;
}

/** Copies what is no TypeScript and is newer than its copy; resolves with all its names. */
async function copyRest(): Promise<string[]> {
	const names = (await Array.fromAsync(glob([...folders.map(folder => `${folder}/**/*`), ...besides], {cwd: top}))).filter(name => !name.endsWith('.ts'));
	return copyNewer(top, names);
}

/** Copies the types of what still has a source. */
async function copyTypes(): Promise<string[]> {
	const names: string[] = [];
	for await (const name of glob('**/*.d.ts', {cwd: compiled})) {
		if ((await facts(path.join(top, name.replace(/\.d\.ts$/, '.ts')))).isFile) {
			names.push(name);
		}
	}
	return copyNewer(compiled, names);
}

/** Copies files that are newer than their copies; resolves with the names of all that are files. */
async function copyNewer(folder: string, names: readonly string[]): Promise<string[]> {
	const files: string[] = [];
	for (const name of names) {
		const [from, to] = [path.join(folder, name), path.join(into, name)];
		const {mode, mtimeMs, isFile} = await facts(from);
		if (!isFile) {
			continue;
		}
		files.push(name);
		if (mtimeMs > (await facts(to)).mtimeMs) {
			await mkdir(path.dirname(to), {recursive: true});
			await copyFile(from, to);
			await chmod(to, mode);
		}
	}
	return files;
}

/** Writes what is published as package.json, also where compiled modules look for it; resolves with the files that its doors lead to. */
async function writePackageFile(): Promise<readonly string[]> {
	const source = JSON.parse(await readFile(path.join(top, 'package.json'), 'utf8')) as SourcePackage;
	const head = await promisify(execFile)('git', ['-C', top, 'rev-parse', 'HEAD']).then(({stdout}) => stdout.trim(), () => undefined);
	const text = `${JSON.stringify(packageFile(source, {head, folders: [...folders, 'bundle'], besides}), undefined, '\t')}\n`;
	await Promise.all([into, compiled].map(async folder => writeFile(path.join(folder, 'package.json'), text)));
	return Object.values(source.exports).filter(file => file.endsWith('.ts')).map(file => file.replace(/^\.\//, '').replace(/\.ts$/, '.js'));
}

/** Removes what this run did not make: a plugin that is gone must not be packed. */
async function removeStrangers(kept: ReadonlySet<string>): Promise<void> {
	for await (const name of glob('**/*', {cwd: into, exclude: name => name === '.compiled'})) {
		if (!kept.has(name) && (await facts(path.join(into, name))).isFile) {
			await rm(path.join(into, name));
		}
	}
}

async function facts(name: string): Promise<{mode: number; mtimeMs: number; isFile: boolean}> {
	const found = await stat(name).catch(() => undefined);
	return {mode: found?.mode ?? 0, mtimeMs: found?.mtimeMs ?? 0, isFile: found?.isFile() ?? false};
}
