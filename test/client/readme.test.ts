import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {keelson} from '../helpers/keelson-program.ts';
import {ClientRoom} from './client-room.ts';

const run = promisify(execFile);
const top = path.join(import.meta.dirname, '../..');

/** A program of the guide, and what it says that it prints. */
interface Example {
	readonly title: string;
	readonly program: string;
	readonly prints: string;
}

async function examples(): Promise<readonly Example[]> {
	const text = await readFile(path.join(top, 'client/README.md'), 'utf8');
	const found = [...text.matchAll(/^```ts\n(?<program>.*?)^```\n\n```console\n(?<prints>.*?)^```$/gms)];
	return found.map(({groups, index}) => ({
		title: /.*^#+ (?<title>.*?)$/ms.exec(text.slice(0, index))?.groups?.['title'] ?? '', program: groups?.['program'] ?? '', prints: groups?.['prints'] ?? '',
	}));
}

test('each program of client/README.md compiles, runs, and prints what it says there', async t => {
	t.timeout(180_000);
	const all = await examples();
	t.is(all.length, ((await readFile(path.join(top, 'client/README.md'), 'utf8')).match(/^```ts$/gm) ?? []).length, 'each has its output behind it');
	t.true(all.length >= 6);
	const room = await ClientRoom.open(keelson(), 'readme');
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-readme-'));
	try {
		const files = await Promise.all(all.map(async ({program}, at) => {
			const file = path.join(directory, `example-${at}.ts`);
			await writeFile(file, program
				.replaceAll('\'keelson/client\'', JSON.stringify(path.join(top, 'client/index.ts')))
				.replaceAll('/run/keelson/keelson.sock', room.daemon.places.address)
				.replaceAll('registry.example/app:1', room.images.busybox));
			return file;
		}));
		await writeFile(path.join(directory, 'package.json'), JSON.stringify({type: 'module'}));
		await writeFile(path.join(directory, 'tsconfig.json'), JSON.stringify({
			extends: path.join(top, 'tsconfig.json'), include: undefined,
			compilerOptions: {rootDir: '/', rewriteRelativeImportExtensions: false, typeRoots: [path.join(top, 'node_modules/@types')], types: ['node'], noEmit: true, incremental: false, composite: false}, files,
		}));
		await run(path.join(top, 'node_modules/.bin/tsc'), ['-p', directory], {cwd: top}).catch((error: unknown) => {
			throw new Error(`they do not compile: ${(error as {stdout?: string}).stdout}`);
		});
		for (const [at, {title, prints}] of all.entries()) {
			const {stdout} = await run(process.execPath, ['--disable-warning=ExperimentalWarning', files[at] ?? ''], {timeout: 30_000});
			t.is(stdout, prints, title);
		}
		await room.close();
	} finally {
		await rm(directory, {recursive: true, force: true});
		await room[Symbol.asyncDispose]();
	}
});
