import {access, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {homedir, tmpdir} from 'node:os';
import path from 'node:path';
import type {Issued} from '../test/helpers/authority.ts';
import {freePort} from '../test/helpers/free-port.ts';
import {listens} from '../test/helpers/registry.ts';
import {Service} from '../test/helpers/service.ts';
import {succeed} from '../test/helpers/command.ts';

const BUILD_MS_MAX = 30 * 60_000;

/** The images that scripts/images builds of Debian packages (once; minutes), served by a registry of this bench. */
export class BigImages implements AsyncDisposable {
	/** Nine gzip layers: whiteouts, opaque directories, hardlinks, xattrs, setuid, devices, odd names and owners. */
	readonly multi: string;
	readonly multiZstd: string;
	/** `127.0.0.1:5000` */
	readonly host: string;
	readonly #directory: string;
	readonly #service: Service;

	private constructor(host: string, directory: string, service: Service) {
		this.host = host;
		this.multi = `${host}/app:multi`;
		this.multiZstd = `${host}/app:multi-zstd`;
		this.#directory = directory;
		this.#service = service;
	}

	/** Over plain HTTP, or over TLS with what was issued. */
	static async serve(issued?: Issued): Promise<BigImages> {
		const work = process.env['WORK'] ?? path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'keelson', 'images');
		const finished = await access(path.join(work, 'stamps', 'push-app-index')).then(() => true, () => false);
		if (!finished) {
			console.log('  building the images of the bench, once');
			await succeed('bash', [path.join(import.meta.dirname, '../scripts/images')], {timeoutMs: BUILD_MS_MAX, env: {STOP: '1'}});
		}
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-bench-registry-'));
		const port = await freePort();
		const host = `127.0.0.1:${port}`;
		const config = path.join(directory, 'config.yml');
		await writeFile(config, `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${work}/registry}}\nhttp: ${JSON.stringify({addr: host, ...issued === undefined ? {} : {tls: {certificate: issued.certificateFile, key: issued.keyFile}}})}\n`);
		const isReady = async (): Promise<boolean> => issued === undefined ? fetch(`http://${host}/v2/`).then(({ok}) => ok, () => false) : listens('127.0.0.1', port);
		return new BigImages(host, directory, await Service.start('docker-registry', ['serve', config], {log: path.join(directory, 'log'), isReady}));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#service.stop(2000);
		await rm(this.#directory, {recursive: true, force: true});
	}
}
