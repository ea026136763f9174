import {isIP, type TcpNetConnectOpts} from 'node:net';
import type {ConnectionOptions} from 'node:tls';
import type {Trust} from './hosts.ts';

/** What is asked for, and who answers. */
export interface Way {
	readonly url: URL;
	readonly trust: Trust;
	/** The header, where the request has one. */
	readonly host: string | undefined;
}

const KEEP_ALIVE_MS = 60_000;

/** @param headers of the request, names in any case */
export function wayTo(url: URL, trust: Trust, headers: Readonly<Record<string, unknown>>): Way {
	const [, host] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'host') ?? [];
	return {url, trust, host: typeof host === 'string' ? host : undefined};
}

/** Equal for ways that may share a connection. */
export function keyOf(way: Way): string {
	const {url, trust} = way;
	return JSON.stringify([url.protocol, url.host, serverNameOf(way), trust]);
}

/** Where node:net and node:tls connect to. */
export function addressOf({url}: Way): TcpNetConnectOpts {
	return {host: bare(url.hostname), port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port), noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS};
}

/** Whom to believe, and who we are, as node:tls has it; `servername` is empty for an address. */
export function tlsOptionsOf(way: Way): Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized'> & {readonly servername: string} {
	const {skipVerify, ca, client} = way.trust;
	return {
		rejectUnauthorized: !skipVerify,
		servername: serverNameOf(way),
		...(ca === undefined ? {} : {ca: [...ca]}),
		...(client === undefined ? {} : {cert: client.map(({certificate}) => certificate), key: client.map(({key}) => key)}),
	};
}

/** The other side speaks nothing that it was offered (ALPN, RFC 7301, section 3.2). */
export function isProtocolRefused(error: unknown): boolean {
	// As the handshake fails, or what was written before it was over.
	return error instanceof Error && 'code' in error && (String(error.code).endsWith('ALERT_NO_APPLICATION_PROTOCOL') || (error.code === 'EPROTO' && error.message.includes('alert no application protocol')));
}

/** The name that a certificate must have: of what is asked for (the `host` header, where one is given), unless it is an address. */
function serverNameOf({url, host}: Way): string {
	const name = host === undefined || !URL.canParse(`https://${host}`) ? url.hostname : new URL(`https://${host}`).hostname;
	return isIP(bare(name)) === 0 ? name : '';
}

function bare(hostname: string): string {
	return hostname.replace(/^\[|\]$/g, '');
}
