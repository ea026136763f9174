import {copyFile, mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {succeed} from '../helpers/command.ts';
import type {Program} from '../helpers/daemon.ts';
import {keelsonArguments} from '../helpers/keelson-program.ts';

const top = path.join(import.meta.dirname, '../..');
const tools = path.join(top, 'node_modules');

/** A folder in which somebody who has no checkout has installed keelson and the example, each from its packed file. */
export class Stranger implements AsyncDisposable {
	readonly #scratch: string;

	private constructor(scratch: string) {
		this.#scratch = scratch;
	}

	/** Builds, packs and installs; some twenty seconds, most of them npm's. */
	static async move(): Promise<Stranger> {
		const stranger = new Stranger(await mkdtemp(path.join(tmpdir(), 'keelson-stranger-')));
		try {
			await stranger.#install();
			return stranger;
		} catch (error) {
			await stranger[Symbol.asyncDispose]();
			throw error;
		}
	}

	get folder(): string {
		return path.join(this.#scratch, 'home');
	}

	/** keelsond as it is installed here, with a configuration that lies here too. */
	daemon(config: string): Program {
		return {
			name: 'keelson, installed',
			kind: 'keelson',
			prepare: async places => {
				const file = path.join(this.folder, 'config.toml');
				await writeFile(file, config);
				return {file: path.join(this.folder, 'node_modules/keelson/bin/keelsond'), args: keelsonArguments({...places, config: file})};
			},
		};
	}

	/** Puts a file of the stranger's own here. */
	async write(name: string, text: string): Promise<void> {
		await writeFile(path.join(this.folder, name), text);
	}

	/** Runs a tool of the checkout, from here; rejects with what it printed when it fails. */
	async run(tool: string, ...args: readonly string[]): Promise<string> {
		const {stdout} = await succeed(path.join(tools, '.bin', tool), args, {cwd: this.folder, timeoutMs: 120_000});
		return stdout;
	}

	async #install(): Promise<void> {
		const build = path.join(this.#scratch, 'build');
		await mkdir(build);
		await succeed('sh', [path.join(top, 'scripts/build'), build], {timeoutMs: 120_000});
		const packed: string[] = [];
		for (const source of [build, path.join(top, 'examples/network-veth')]) {
			const {stdout} = await succeed('npm', ['pack', source, '--json', '--ignore-scripts', '--pack-destination', this.#scratch], {cwd: this.#scratch, timeoutMs: 60_000});
			packed.push(path.join(this.#scratch, fileName(stdout)));
		}
		await mkdir(this.folder);
		await this.write('package.json', '{"private": true, "type": "module"}\n');
		await succeed('npm', ['install', '--prefix', this.folder, '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', ...packed], {cwd: this.folder, timeoutMs: 120_000});
		// What a plugin's author has beside: the test runner, and Node's types.
		await symlink(path.join(tools, 'ava'), path.join(this.folder, 'node_modules/ava'));
		await mkdir(path.join(this.folder, 'node_modules/@types'), {recursive: true});
		await rm(path.join(this.folder, 'node_modules/@types/node'), {recursive: true, force: true});
		await symlink(path.join(tools, '@types/node'), path.join(this.folder, 'node_modules/@types/node'));
		await copyFile(path.join(this.folder, 'node_modules/keelson-example-network-veth/plugin.js'), path.join(this.folder, 'plugin.js'));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(this.#scratch, {recursive: true, force: true});
	}
}

function fileName(answer: string): string {
	const packed = JSON.parse(answer) as readonly {readonly filename: string}[] | Readonly<Record<string, {readonly filename: string}>>;
	const [only] = Object.values(packed);
	if (only === undefined) {
		throw new Error(`npm pack says that it packed nothing: ${answer}`);
	}
	return only.filename;
}
