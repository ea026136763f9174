import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {createServer, type AddressInfo, type Socket} from 'node:net';
import {createServer as createTlsServer} from 'node:tls';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseTcpAddress} from '../../lib/listen/tcp-address.ts';
import type {TcpSettings} from './settings.ts';

/** A client that does not finish its handshake is cut off. */
const HANDSHAKE_MS = 10_000;

/** A TCP listener; disposing it takes no more connections, and leaves those that are there to who took them. */
export interface TcpListener extends AsyncDisposable {
	/** As bound: the port is never 0. */
	readonly address: string;
}

/**
 * Listens on TCP, with TLS where there is a certificate; with `ca`, clients must show one that it signed. Rejects with INVALID_ARGUMENT for an
 * address or a pair of files that makes no sense.
 */
export async function listenTcp(settings: TcpSettings, accept: (socket: Socket) => void): Promise<TcpListener> {
	const address = parseTcpAddress(settings.address);
	if (settings.commonName !== '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'tcp_tls_common_name names a certificate in the store of Windows; here tcp_tls_cert and tcp_tls_key are needed');
	}
	if ((settings.cert === '') !== (settings.key === '')) {
		throw new KeelsonError('INVALID_ARGUMENT', `tcp_tls_cert ${JSON.stringify(settings.cert)} and tcp_tls_key ${JSON.stringify(settings.key)} go together`);
	}
	if (settings.ca !== '' && settings.cert === '') {
		throw new KeelsonError('INVALID_ARGUMENT', `tcp_tls_ca ${JSON.stringify(settings.ca)} asks for clients' certificates, which needs tcp_tls_cert and tcp_tls_key`);
	}
	const server = settings.cert === '' ? createServer(accept) : createTlsServer({
		cert: await readFile(settings.cert),
		key: await readFile(settings.key),
		...(settings.ca === '' ? {} : {ca: await readFile(settings.ca), requestCert: true, rejectUnauthorized: true}),
		ALPNProtocols: ['h2'],
		handshakeTimeout: HANDSHAKE_MS,
	}, accept);
	server.listen(address);
	await once(server, 'listening');
	const bound = server.address() as AddressInfo;
	return {
		address: `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
		async [Symbol.asyncDispose]() {
			server.close();
		},
	};
}
