import {createPrivateKey, randomUUID, sign, X509Certificate} from 'node:crypto';
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Issued} from './authority.ts';
import {HttpStub, type Asked} from './http-stub.ts';

/** Who may do what: actions by repository; `*` stands for every repository. */
export type Rights = Readonly<Record<string, readonly string[]>>;

interface Account {
	/** `user:password`, or a refresh token. */
	readonly secret: string;
	readonly rights: Rights;
}

/** A token server as registries want it (distribution token protocol), for docker-registry: signs with a key whose certificate the registry trusts. */
export class TokenServer implements AsyncDisposable {
	readonly #stub: HttpStub;

	private constructor(stub: HttpStub) {
		this.#stub = stub;
	}

	/** `anonymous`: what everybody may do. */
	static async start(signer: Issued, {accounts, anonymous = {}}: {readonly accounts: readonly Account[]; readonly anonymous?: Rights}): Promise<TokenServer> {
		const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
			const form = request.method === 'POST' ? new URLSearchParams(Buffer.concat(await request.toArray() as Buffer[]).toString()) : new URL(request.url ?? '', 'http://x').searchParams;
			const [, encoded] = /^Basic (.+)$/.exec(request.headers.authorization ?? '') ?? [];
			const password = form.get('grant_type') === 'password' ? `${form.get('username')}:${form.get('password')}` : undefined;
			const secret = form.get('refresh_token') ?? password ?? (encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString());
			const account = accounts.find(one => one.secret === secret);
			if (secret !== undefined && account === undefined) {
				response.writeHead(401).end();
				return;
			}
			const scopes = form.getAll('scope').flatMap(one => one.split(' '));
			const token = tokenFor(signer, scopes, account?.rights ?? anonymous);
			response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify({token, access_token: token, expires_in: 60}));
		};
		return new TokenServer(await HttpStub.start((request, response) => {
			void answer(request, response);
		}));
	}

	get realm(): string {
		return `http://${this.#stub.host}/token`;
	}

	get asked(): readonly Asked[] {
		return this.#stub.asked;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#stub[Symbol.asyncDispose]();
	}
}

function tokenFor(signer: Issued, scopes: readonly string[], rights: Rights): string {
	const access = scopes.map(scope => scope.split(':')).map(([type, name = '', actions = '']) => (
		{type, name, actions: actions.split(',').filter(action => (rights[name] ?? rights['*'] ?? []).includes(action))}
	));
	const now = Math.floor(Date.now() / 1000);
	const x5c = [new X509Certificate(signer.certificate).raw.toString('base64')];
	const claims = {iss: 'keelson-test', sub: 'someone', aud: 'registry', exp: now + 300, nbf: now - 10, iat: now, jti: randomUUID(), access};
	const text = [{typ: 'JWT', alg: 'ES256', x5c}, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
	return `${text}.${sign('sha256', Buffer.from(text), {key: createPrivateKey(signer.key), dsaEncoding: 'ieee-p1363'}).toString('base64url')}`;
}
