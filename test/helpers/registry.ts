import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {freePort} from './free-port.ts';
import {Service} from './service.ts';
import {until} from './until.ts';

export interface RegistryConfig {
	/** Serves TLS; `client`: and asks for a certificate that this authority signed. */
	readonly tls?: {readonly certificateFile: string; readonly keyFile: string; readonly client?: string};
	/** Wants tokens of this server, signed by a key with this certificate. */
	readonly token?: {readonly realm: string; readonly certificateFile: string};
	/** Sends whoever asks for a blob to an object store at this address. */
	readonly redirect?: string;
	/** Serves what that one stores, which goes with that one; default: nothing yet. */
	readonly of?: Registry;
}

/** A real registry (Debian's docker-registry) on a loopback port of its own, plain HTTP, its blobs in a fresh directory that goes with it. */
export class Registry implements AsyncDisposable {
	readonly host: string;
	readonly root: string;
	readonly #service: Service;

	private constructor(host: string, root: string, service: Service) {
		this.host = host;
		this.root = root;
		this.#service = service;
	}

	static async start(config: RegistryConfig = {}): Promise<Registry> {
		const root = await mkdtemp(path.join(tmpdir(), 'keelson-registry-'));
		try {
			// Another program may take the port between the look and the listen.
			return await until('a registry that gets its port', async () => Registry.#attempt(root, config).catch(error => {
				if (!String(error.message).includes('address already in use')) {
					throw error;
				}

				return undefined;
			}));
		} catch (error) {
			await rm(root, {recursive: true, force: true});
			throw error;
		}
	}

	static async #attempt(root: string, {tls, token, redirect, of}: RegistryConfig): Promise<Registry> {
		const host = `127.0.0.1:${await freePort()}`;
		const config = path.join(root, 'config.yml');
		await writeFile(config, [
			'version: 0.1',
			'log: {level: error, accesslog: {disabled: true}}',
			`storage: {filesystem: {rootdirectory: ${of?.root ?? root}/storage}, delete: {enabled: true}}`,
			`http: ${JSON.stringify({addr: host, ...tls === undefined ? {} : {tls: {certificate: tls.certificateFile, key: tls.keyFile, ...tls.client === undefined ? {} : {clientcas: [tls.client]}}}})}`,
			...token === undefined ? [] : [`auth: ${JSON.stringify({token: {realm: token.realm, service: 'registry', issuer: 'keelson-test', rootcertbundle: token.certificateFile}})}`],
			...redirect === undefined ? [] : [`middleware: ${JSON.stringify({storage: [{name: 'redirect', options: {baseurl: redirect}}]})}`],
			'',
		].join('\n'));
		const [name = '', port = ''] = host.split(':');
		const isReady = async () => tls === undefined && token === undefined ? fetch(`http://${host}/v2/`).then(response => response.ok, () => false) : listens(name, Number(port));
		const service = await Service.start('docker-registry', ['serve', config], {log: path.join(root, 'log'), isReady});
		return new Registry(host, root, service);
	}

	/** Stores a blob. Resolves once it can be fetched by its digest. */
	async putBlob(name: string, digest: string, bytes: Uint8Array): Promise<void> {
		const begun = await fetch(`http://${this.host}/v2/${name}/blobs/uploads/`, {method: 'POST'});
		const location = begun.headers.get('location');
		if (begun.status !== 202 || location === null) {
			throw new Error(`the registry answers ${begun.status} to an upload to ${name}: ${await begun.text()}`);
		}

		const target = new URL(location, `http://${this.host}`);
		target.searchParams.set('digest', digest);
		const done = await fetch(target, {method: 'PUT', headers: {'content-type': 'application/octet-stream'}, body: bytes});
		if (done.status !== 201) {
			throw new Error(`the registry answers ${done.status} to ${digest} of ${name}: ${await done.text()}`);
		}
	}

	/** Stores a manifest or an index under a tag or its digest. */
	async putManifest(name: string, reference: string, mediaType: string, bytes: Uint8Array): Promise<void> {
		const done = await fetch(`http://${this.host}/v2/${name}/manifests/${reference}`, {method: 'PUT', headers: {'content-type': mediaType}, body: bytes});
		if (done.status !== 201) {
			throw new Error(`the registry answers ${done.status} to ${name}:${reference}: ${await done.text()}`);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#service.stop(2000);
		await rm(this.root, {recursive: true, force: true});
	}
}

/** Whoever wants tokens or certificates does not answer just anybody. */
export async function listens(host: string, port: number): Promise<boolean> {
	const {promise, resolve} = Promise.withResolvers<boolean>();
	const socket = connect(port, host, () => resolve(true)).on('error', () => resolve(false));
	try {
		return await promise;
	} finally {
		socket.destroy();
	}
}
