import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {succeed} from './command.ts';

/** A certificate and its key, as files and as text. */
export interface Issued {
	readonly certificateFile: string;
	readonly keyFile: string;
	readonly certificate: string;
	readonly key: string;
}

/** A certificate authority that nobody knows, for servers on loopback and for clients; its files go with it. */
export class Authority implements AsyncDisposable {
	readonly directory: string;
	/** The authority's own certificate. */
	readonly root: Issued;

	private constructor(directory: string, root: Issued) {
		this.directory = directory;
		this.root = root;
	}

	static async create(): Promise<Authority> {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-authority-'));
		try {
			await succeed('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=keelson test authority',
				'-keyout', path.join(directory, 'ca.key'), '-out', path.join(directory, 'ca.crt')]);
			return new Authority(directory, await issued(directory, 'ca', 'crt'));
		} catch (error) {
			await rm(directory, {recursive: true, force: true});
			throw error;
		}
	}

	/** A certificate for 127.0.0.1 and localhost, signed by this authority. */
	async issue(name: string): Promise<Issued> {
		const at = (ending: string): string => path.join(this.directory, `${name}.${ending}`);
		await writeFile(at('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
		await succeed('openssl', ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('csr')]);
		await succeed('openssl', ['x509', '-req', '-days', '2', '-in', at('csr'), '-CA', this.root.certificateFile, '-CAkey', this.root.keyFile, '-CAcreateserial', '-extfile', at('ext'), '-out', at('cert')]);
		return issued(this.directory, name, 'cert');
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(this.directory, {recursive: true, force: true});
	}
}

async function issued(directory: string, name: string, ending: string): Promise<Issued> {
	const [certificateFile, keyFile] = [path.join(directory, `${name}.${ending}`), path.join(directory, `${name}.key`)];
	return {certificateFile, keyFile, certificate: await readFile(certificateFile, 'utf8'), key: await readFile(keyFile, 'utf8')};
}
