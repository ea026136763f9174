import {readFile, stat} from 'node:fs/promises';
import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {isDockerHub, type CredentialSource} from './credentials.ts';
import {askCredentialHelper} from './credentials-helper.ts';

const FILE_BYTES_MAX = 1024 * 1024;
/** Docker's own name for the Hub. */
const HUB = 'https://index.docker.io/v1/';

type Table = Readonly<Record<string, unknown>>;

/**
 * What Docker's config.json says: `credHelpers` for the host, else `credsStore`, else `auths`. Read at each question, since `docker login` may write it at any time; a file that is not there knows nothing.
 */
export function dockerConfig(file: string): CredentialSource {
	return async (host, signal) => {
		const document = await readConfig(file);
		const names = isDockerHub(host) ? [HUB, 'docker.io', 'index.docker.io', host] : [host, `https://${host}`, `http://${host}`];
		const helpers = tableIn(document, 'credHelpers');
		const helped = names.find(name => typeof helpers[name] === 'string');
		const helper = helped === undefined ? document['credsStore'] : helpers[helped];
		if (typeof helper === 'string' && helper !== '') {
			const found = await askCredentialHelper(helper, helped ?? names[0] ?? host, signal);
			if (found !== undefined || helped !== undefined) {
				return found;
			}
		}
		const auths = tableIn(document, 'auths');
		const entry = Object.entries(auths).find(([address]) => names.includes(address) || names.includes(hostOf(address)))?.[1];
		return isTable(entry) ? credentialsIn(entry) : undefined;
	};
}

/** Docker's `auth` is the base64 of `user:password`; undefined when there is nothing in it. */
export function credentialsIn(entry: Table): Credentials | undefined {
	const text = (name: string): string => typeof entry[name] === 'string' ? entry[name] : '';
	const token = text('identitytoken') || text('identity_token');
	if (token !== '') {
		return {username: '', secret: token};
	}
	if (text('registrytoken') !== '') {
		return {username: '', secret: '', header: `Bearer ${text('registrytoken')}`};
	}
	const decoded = Buffer.from(text('auth'), 'base64').toString('utf8').replace(/\0+$/, '');
	const colon = decoded.indexOf(':');
	const [username, secret] = colon === -1 ? [text('username'), text('password')] : [decoded.slice(0, colon), decoded.slice(colon + 1)];
	return username === '' && secret === '' ? undefined : {username, secret};
}

async function readConfig(file: string): Promise<Table> {
	try {
		const {size} = await stat(file);
		if (size > FILE_BYTES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `${file} has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
		}
		const value: unknown = JSON.parse(await readFile(file, 'utf8'));
		return isTable(value) ? value : {};
	} catch (error) {
		if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
			return {};
		}
		// Without the parser's words, which may quote a secret.
		throw error instanceof SyntaxError ? new KeelsonError('INVALID_ARGUMENT', `${file} is not JSON`) : KeelsonError.from(error, 'INVALID_ARGUMENT');
	}
}

/** `https://host/v1/` is `host`. */
function hostOf(address: string): string {
	return address.replace(/^https?:\/\//, '').split('/')[0] ?? '';
}

function tableIn(document: Table, name: string): Table {
	const value = document[name];
	return isTable(value) ? value : {};
}

function isTable(value: unknown): value is Table {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
