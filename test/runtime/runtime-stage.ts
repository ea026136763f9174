import {randomBytes} from 'node:crypto';
import {copyFile, mkdir, mkdtemp, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {OciRuntime, OciRuntimes} from '../../contracts/oci-runtime/oci-runtime.ts';
import type {RuntimeStage} from '../../contracts/oci-runtime/oci-runtime.suite.ts';
import {CommandLineRuntimes} from '../../plugins/runtime-runc/runtimes.ts';
import type {Expectation, Reaper} from '../../plugins/shim/process/reaper.ts';
import {sweep} from '../helpers/sweep.ts';

/** A real runtime binary, whose containers' parent is this process, as the shim is. */
export class CommandLineStage implements RuntimeStage {
	readonly runtimes: OciRuntimes;
	readonly runtime: OciRuntime;
	/** Where the runtime keeps its state. */
	readonly root: string;
	readonly #directory: string;
	readonly #namespace = `runtime-${randomBytes(4).toString('hex')}`;
	readonly #expectation: Expectation;
	#count = 0;

	private constructor(directory: string, binary: string, reaper: Reaper) {
		this.#directory = directory;
		this.#expectation = reaper.expect();
		this.runtimes = new CommandLineRuntimes({run: async (program, args, options) => reaper.run(program, args, options)});
		this.root = path.join(directory, 'runtime');
		this.runtime = this.runtimes.open({binary, root: this.root, log: path.join(directory, 'log.json'), systemdCgroup: false});
	}

	static async open(binary: string, reaper: Reaper): Promise<CommandLineStage> {
		return new CommandLineStage(await mkdtemp(path.join(tmpdir(), 'keelson-runtime-')), binary, reaper);
	}

	readonly bundle = async (args: readonly string[]): Promise<{id: string; bundle: string; pidFile: string; processFile: string}> => {
		this.#count++;
		const id = `r${this.#count}-${this.#namespace}`;
		const bundle = path.join(this.#directory, id);
		await mkdir(path.join(bundle, 'rootfs', 'bin'), {recursive: true});
		await Promise.all(['proc', 'dev'].map(async name => mkdir(path.join(bundle, 'rootfs', name))));
		await copyFile('/usr/bin/busybox', path.join(bundle, 'rootfs', 'bin', 'busybox'));
		await Promise.all(['sh', 'sleep'].map(async name => symlink('busybox', path.join(bundle, 'rootfs', 'bin', name))));
		const program = (words: readonly string[]): object => ({args: words, cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}});
		await writeFile(path.join(bundle, 'config.json'), JSON.stringify({
			ociVersion: '1.0.2', process: program(args), root: {path: 'rootfs'},
			mounts: [{type: 'proc', source: 'proc', destination: '/proc'}, {type: 'tmpfs', source: 'tmpfs', destination: '/dev'}],
			linux: {cgroupsPath: `/${this.#namespace}/${id}`, namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map(type => ({type}))},
		}));
		const processFile = path.join(bundle, 'process.json');
		await writeFile(processFile, JSON.stringify(program(['/bin/sleep', '100'])));
		return {id, bundle, pidFile: path.join(bundle, 'pid'), processFile};
	};

	readonly exit = async (pid: number): Promise<number> => {
		// The signal that a child has ended keeps nobody waiting.
		const alive = setInterval(() => undefined, 1000);
		try {
			return (await this.#expectation.claim(pid)).exitStatus;
		} finally {
			clearInterval(alive);
		}
	};

	async [Symbol.asyncDispose](): Promise<void> {
		this.#expectation[Symbol.dispose]();
		await sweep(this.#directory, new Set([this.#namespace]));
	}
}
