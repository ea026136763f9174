import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

const repository = resolve(import.meta.dirname, '../..');
export const launcher = join(repository, 'bin/keelsond');
export const kernelUrl = pathToFileURL(join(repository, 'kernel/index.ts')).href;

/** What a plugin's module begins with, wherever it lies. */
export const preamble = `import {all, contract, definePlugin, definePlugins, maybe, one} from '${kernelUrl}';
import * as z from '${import.meta.resolve('zod')}';
`;

/** The module of a plugin that does nothing but what it is given. */
export function moduleOf({id, requires = '{}', config = 'z.strictObject({})', init = 'return {};', more = ''}: {
	id: string; requires?: string; config?: string; init?: string; more?: string;
}): string {
	const [type] = /^io\..+?\.v\d+/.exec(id) as RegExpExecArray;
	return `${preamble}
export const plugin = definePlugin({
	id: '${id}', provides: contract('${type}').for(), requires: ${requires}, config: ${config}, ${more}
	async init({config, services, log, lifetime, skip, signal, daemon}) { ${init} },
});
`;
}

/** A directory that goes with the test, and with it every daemon that was started in it. */
export class Room implements AsyncDisposable {
	readonly path: string;
	readonly #lifetime = new AsyncDisposableStack();

	private constructor(path: string) {
		this.path = path;
		this.#lifetime.defer(() => rm(path, {recursive: true, force: true}));
	}

	static async make(): Promise<Room> {
		return new Room(await mkdtemp(join(tmpdir(), 'keelson-kernel-')));
	}

	async write(name: string, text: string, mode = 0o644): Promise<string> {
		const path = join(this.path, name);
		await mkdir(dirname(path), {recursive: true});
		await writeFile(path, text);
		await chmod(path, mode);
		return path;
	}

	/** Starts keelsond with root and state in this directory. */
	start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}, binary = launcher): Daemon {
		const here = ['--root', join(this.path, 'root'), '--state', join(this.path, 'state'), '--address', join(this.path, 'k.sock')];
		return this.#lifetime.use(new Daemon(binary, [...here, ...args], {cwd: '/', env: {...process.env, ...env}}));
	}

	/** Runs keelsond to its end. */
	async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{code: number | null; output: string}> {
		const daemon = this.start(args, env);
		return {code: await daemon.ended, output: daemon.output};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#lifetime.disposeAsync();
	}
}

export class Daemon implements AsyncDisposable {
	output = '';
	readonly ended: Promise<number | null>;
	readonly #child;

	constructor(binary: string, args: readonly string[], options: {cwd: string; env: NodeJS.ProcessEnv}) {
		this.#child = spawn(binary, args, {...options, stdio: ['ignore', 'pipe', 'pipe']});
		for (const stream of [this.#child.stdout, this.#child.stderr]) {
			stream.setEncoding('utf8').on('data', (text: string) => {
				this.output += text;
			});
		}
		this.ended = once(this.#child, 'close').then(([code]) => code as number | null);
	}

	get pid(): number {
		return this.#child.pid as number;
	}

	/** Resolves once the output has it; rejects, with the output, after 60 s or at the daemon's end. */
	async prints(text: string): Promise<void> {
		const end = Date.now() + 60_000;
		while (!this.output.includes(text)) {
			if (Date.now() > end || this.#child.exitCode !== null) {
				throw new Error(`keelsond did not print ${text}, but:\n${this.output}`);
			}
			await new Promise((done) => {
				setTimeout(done, 10);
			});
		}
	}

	kill(signal: NodeJS.Signals): void {
		this.#child.kill(signal);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#child.kill('SIGKILL');
		await this.ended;
	}
}
