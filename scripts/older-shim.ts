/**
 * Builds the older shim that tests keep: the shim and its manager as they were at a commit, in one compressed file.
 *
 *     node scripts/older-shim.ts [COMMIT]     default: the commit of the file that is there
 *
 * It differs from today's as a shim of long ago does: it serves the second task protocol alone, and prints a bare address, whatever it is asked.
 */

import {execFileSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {brotliCompressSync} from 'node:zlib';
import ts from 'typescript';

const top = path.join(import.meta.dirname, '..');
const pinned = 'd73fa51';
const commit = execFileSync('git', ['-C', top, 'rev-parse', process.argv[2] ?? pinned], {encoding: 'utf8'}).trim();
const modules = new Map<string, string>();

const entry = `
	import {CommandLineRuntimes} from './plugins/runtime-runc/runtimes.ts';
	import {runShim} from './plugins/shim/process/main.ts';
	export {ShimTaskManager} from './plugins/shim/manager/manager.ts';
	export async function main(words: string[]): Promise<void> {
		delete process.env['MAX_SHIM_VERSION'];
		await runShim({name: 'containerd-shim-keelson-v2', version: 'older', runtimes: run => new CommandLineRuntimes({run}), words});
	}
`;

// What is different from the commit, and must be found there.
const changes: Readonly<Record<string, readonly [string, string]>> = {
	'plugins/shim/process/task-service.ts': ['return [ttrpcService(taskV2, handlers), ttrpcService(taskV3, handlers)];', 'return [ttrpcService(taskV2, handlers)];'],
};

add('entry.ts', entry);
const text = [
	`// keelson's shim and its manager at commit ${commit}; made by scripts/older-shim.ts, which says what is different.`,
	'const modules = {',
	...[...modules].toSorted(([a], [b]) => a < b ? -1 : 1).map(([name, body]) => `${JSON.stringify(name)}(require, module, exports) {\n${body}\n},`),
	'};',
	'const loaded = {};',
	'const load = from => name => {',
	'	if (!name.startsWith(".")) { return require(name); }',
	'	const id = require("node:path").join(require("node:path").dirname(from), name);',
	'	if (loaded[id] === undefined) { const module = loaded[id] = {exports: {}}; modules[id](load(id), module, module.exports); }',
	'	return loaded[id].exports;',
	'};',
	'module.exports = load("entry.ts")("./entry.ts");',
	'',
].join('\n');
const file = path.join(top, 'test/fixtures/older-shim/shim.cjs.br');
const bytes = brotliCompressSync(text);
writeFileSync(file, bytes);
process.stdout.write(`${file}: ${modules.size} modules of ${commit}, ${text.length} characters, ${bytes.length} bytes\n`);

/** Adds a module and all that it imports of the project's own. */
function add(name: string, source: string): void {
	if (modules.has(name)) {
		return;
	}
	const compilerOptions = {target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.CommonJS, esModuleInterop: true, removeComments: true, verbatimModuleSyntax: false};
	const {outputText} = ts.transpileModule(source.replaceAll('import.meta.dirname', JSON.stringify('/')), {compilerOptions, fileName: name});
	modules.set(name, outputText);
	for (const [, target = ''] of outputText.matchAll(/require\(["'](\.[^"']+)["']\)/g)) {
		const id = path.join(path.dirname(name), target);
		add(id, read(id));
	}
}

function read(name: string): string {
	const source = execFileSync('git', ['-C', top, 'show', `${commit}:${name}`], {encoding: 'utf8', maxBuffer: 16 * 1024 * 1024});
	const [before, after] = changes[name] ?? ['', ''];
	if (!source.includes(before)) {
		throw new Error(`${name} of ${commit} has no ${JSON.stringify(before)}`);
	}
	return source.replace(before, after);
}
