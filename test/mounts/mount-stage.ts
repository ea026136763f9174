import {closeSync, openSync} from 'node:fs';
import {mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import {execFile} from 'node:child_process';
import type {MountStage} from '../../contracts/mount-manager/mount-manager.suite.ts';
import type {MountHandler} from '../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import type {Logger} from '../../kernel/log.ts';
import {Database} from '../../lib/sqlite/database.ts';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {unmount, UMOUNT} from '../../lib/sys/mount.ts';
import {LoopHandler} from '../../plugins/mount-local/loop-handler.ts';
import {LocalMountManager} from '../../plugins/mount-local/manager.ts';
import {migrations} from '../../plugins/mount-local/schema.ts';
import {sqliteInMemory, type House} from '../metadata/sqlite-in-memory.ts';

const run = promisify(execFile);

/** The mount manager of this machine below one directory, with metadata in memory that collects its activations. */
export class LocalMountStage implements MountStage {
	readonly directory: string;
	readonly house: House;
	readonly warnings: string[] = [];
	readonly broken: Mount;
	manager!: LocalMountManager;
	boot = 'this';
	/** Besides that of loop, from the next opening on. */
	handlers: Readonly<Record<string, MountHandler>> = {};
	#database!: Database;
	#registration!: Disposable;
	#count = 0;

	private constructor(directory: string) {
		this.directory = directory;
		this.broken = {type: 'bind', source: path.join(directory, 'missing'), target: '', options: ['rbind']};
		this.house = sqliteInMemory();
	}

	static async open(): Promise<LocalMountStage> {
		const stage = new LocalMountStage(await mkdtemp(path.join(tmpdir(), 'keelson-mounts-')));
		await mkdir(path.join(stage.directory, 'root'));
		await stage.#openManager();
		return stage;
	}

	get targets(): string {
		return path.join(this.directory, 't');
	}

	/** Where transformers may make things. */
	get root(): string {
		return path.join(this.directory, 'root');
	}

	async mount(): Promise<Mount> {
		const source = path.join(this.directory, `source-${this.#count++}`);
		await mkdir(path.join(source, 'u'), {recursive: true});
		return {type: 'bind', source, target: '', options: ['rbind', 'rw']};
	}

	/** An ext4 file system of 4 MiB. */
	async image(): Promise<string> {
		const file = path.join(this.directory, `image-${this.#count++}`);
		await writeFile(file, '');
		await truncate(file, 4 << 20);
		await run('/usr/sbin/mkfs.ext4', ['-q', file]);
		return file;
	}

	async lease(id: string): Promise<void> {
		await this.house.scope({namespace: 'n'}).leases.create({id, labels: {}});
	}

	use(mountPoint: string): Disposable {
		const fd = openSync(mountPoint, 'r');
		return {[Symbol.dispose]: () => closeSync(fd)};
	}

	async reopen(): Promise<LocalMountManager> {
		await this.close();
		await this.#openManager();
		return this.manager;
	}

	/** As when the daemon ends, by itself or not: mounts and records stay. */
	async close(): Promise<void> {
		this.#registration[Symbol.dispose]();
		await this.manager[Symbol.asyncDispose]();
		this.#database[Symbol.dispose]();
	}

	async leftovers(): Promise<readonly string[]> {
		const [mounts, names] = [await mountsUnder(this.targets), await readdir(this.targets)];
		return [...mounts.map(({mountPoint}) => `mount ${mountPoint}`), ...names.map(name => `directory ${name}`), ...(await this.devices()).map(device => `device ${device}`)];
	}

	/** Loop devices that show files of this stage. */
	async devices(): Promise<readonly string[]> {
		const found = await Promise.all((await readdir('/sys/block')).filter(name => name.startsWith('loop')).map(async name => {
			const file = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '');
			return file.startsWith(`${this.directory}/`) ? [`/dev/${name}`] : [];
		}));
		return found.flat();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.close();
		for (const {mountPoint} of await mountsUnder(this.directory)) {
			unmount(mountPoint, UMOUNT.DETACH);
		}
		for (const device of await this.devices()) {
			await run('/usr/sbin/losetup', ['--detach', device]);
		}
		await this.house[Symbol.asyncDispose]();
		await rm(this.directory, {recursive: true, force: true});
	}

	async #openManager(): Promise<void> {
		this.#database = new Database({path: path.join(this.directory, 'mounts.sqlite'), migrations, isDurable: false});
		this.manager = await LocalMountManager.open({
			database: this.#database, targets: this.targets, boot: this.boot, roots: [this.root], mkfsBytesMax: 1 << 30, handlers: new Map(Object.entries({loop: new LoopHandler(), ...this.handlers})), metadata: this.house, log: this.#log(),
		});
		this.#registration = this.house.register(this.manager);
	}

	#log(): Logger {
		const log: Logger = {
			trace() {}, debug() {}, info() {}, error() {},
			warn: message => {
				this.warnings.push(message);
			},
			with: () => log,
		};
		return log;
	}
}
