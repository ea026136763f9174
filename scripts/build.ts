/**
 * Compiles what is published into a folder that mirrors this one: a .js and a .d.ts for each .ts, everything else as it is. So what
 * looks for a neighbour finds it there too: launchers their program, modules of config.toml their plugin.
 *
 *     node scripts/build.ts [FOLDER]     default build/; what an earlier run left there is used again
 */

import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, copyFile, glob, mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import {packageFile, type SourcePackage} from './package-file.ts';

const top = path.join(import.meta.dirname, '..');
const folders = ['api', 'bin', 'client', 'contracts', 'kernel', 'lib', 'plugins'];
const besides = ['config.toml', 'LICENSE', 'README.md', 'CHANGELOG.md'];

const into = path.resolve(process.argv[2] ?? path.join(top, 'build'));
process.exitCode = await compile();
if (process.exitCode === 0) {
	const kept = [...await copyRest(), 'package.json'];
	await writePackageFile();
	await removeStrangers(new Set(kept));
}

async function compile(): Promise<number> {
	const compiler = path.join(top, 'node_modules/.bin/tsc');
	const child = spawn(compiler, ['-p', path.join(top, 'tsconfig.build.json'), '--outDir', into, '--tsBuildInfoFile', path.join(into, '.tsbuildinfo')], {stdio: 'inherit'});
	const [code] = await once(child, 'exit') as [number | null];
	return code ?? 1;
}

/** Copies what is no TypeScript and is newer than its copy; resolves with all its names. */
async function copyRest(): Promise<string[]> {
	const files: string[] = [];
	for await (const name of glob([...folders.map(folder => `${folder}/**/*`), ...besides], {cwd: top})) {
		const [from, to] = [path.join(top, name), path.join(into, name)];
		const {mode, mtimeMs, isFile} = await facts(from);
		if (!isFile || name.endsWith('.ts')) {
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

async function writePackageFile(): Promise<void> {
	const source = JSON.parse(await readFile(path.join(top, 'package.json'), 'utf8')) as SourcePackage;
	const head = await promisify(execFile)('git', ['-C', top, 'rev-parse', 'HEAD']).then(({stdout}) => stdout.trim(), () => undefined);
	await writeFile(path.join(into, 'package.json'), `${JSON.stringify(packageFile(source, {head, folders, besides}), undefined, '\t')}\n`);
}

/** Removes what the source no longer has: a plugin that is gone must not be packed. */
async function removeStrangers(kept: ReadonlySet<string>): Promise<void> {
	for await (const name of glob('**/*', {cwd: into})) {
		const source = name.replace(/(?:\.d\.ts|\.js)$/, '.ts');
		const isOurs = kept.has(name) || (source !== name && (await facts(path.join(top, source))).isFile);
		if (!isOurs && (await facts(path.join(into, name))).isFile) {
			await rm(path.join(into, name));
		}
	}
}

async function facts(name: string): Promise<{mode: number; mtimeMs: number; isFile: boolean}> {
	const found = await stat(name).catch(() => undefined);
	return {mode: found?.mode ?? 0, mtimeMs: found?.mtimeMs ?? 0, isFile: found?.isFile() ?? false};
}
