import {execFile} from 'node:child_process';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';

const top = fileURLToPath(new URL('../../', import.meta.url));
const main = 'bin/containerd-shim-keelson-v2.ts';

interface Cruised {
	readonly modules: readonly {
		readonly source: string;
		readonly coreModule?: boolean;
		readonly dependencies: readonly {readonly resolved: string; readonly dependencyTypes: readonly string[]}[];
	}[];
}

/** Folders, packages and modules of Node that a process of the shim may load, whatever it is asked: types alone are not loaded. */
async function loadedBy(entry: string): Promise<string[]> {
	const {stdout} = await promisify(execFile)(
		process.execPath, [path.join(top, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs'), '--config', '.dependency-cruiser.mjs', '--output-type', 'json', entry],
		{cwd: top, maxBuffer: 64 * 1024 * 1024},
	).catch((error: unknown) => error as {readonly stdout: string});
	const modules = new Map((JSON.parse(stdout) as Cruised).modules.map(module => [module.source, module]));
	const reached = new Set([entry]);
	for (const source of reached) {
		for (const {resolved, dependencyTypes} of modules.get(source)?.dependencies ?? []) {
			if (!dependencyTypes.includes('type-only')) {
				reached.add(resolved);
			}
		}
	}
	return [...new Set([...reached].map(source => {
		const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source) ?? [];
		return name === undefined ? modules.get(source)?.coreModule === true ? `node:${source.replace(/^node:/, '')}` : placeOf(source) : `npm:${name}`;
	}))].toSorted();
}

// A folder stands for its files; of the kernel, and of the top, each file counts.
function placeOf(source: string): string {
	return /^(?:kernel\/)?[^/]+$/.test(source) ? source : path.dirname(source);
}

test('the shim loads what its list names, and nothing else', async t => {
	const listed = (await readFile(path.join(top, 'plugins/shim/dependencies.txt'), 'utf8')).split('\n').filter(line => line !== '' && !line.startsWith('#'));
	t.deepEqual(await loadedBy(main), listed);
});

test('the list is made of what is loaded: the daemon loads more', async t => {
	const daemon = await loadedBy('plugins/proxy-grpc/plugin.ts');
	t.true(daemon.includes('npm:@grpc/grpc-js'));
	t.true(daemon.includes('npm:zod'));
});
