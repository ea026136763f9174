import {BlockList, isIP} from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for an address, as Go's programs read it from the environment: HTTP_PROXY and HTTPS_PROXY by the address' scheme, in either case; none for
 * loopback and for what NO_PROXY lists (names with all below them, `.name` for those below alone, addresses, CIDR blocks, each with an optional port, `*`).
 */
export function proxyFor(url: URL, environment: Environment): URL | undefined {
	const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
	const text = environment[name.toUpperCase()] || environment[name] || '';
	const address = text.includes('://') || text === '' ? text : `http://${text}`;
	if (!URL.canParse(address) || isExcepted(url, environment['NO_PROXY'] || environment['no_proxy'] || '')) {
		return undefined;
	}
	const proxy = new URL(address);
	return proxy.protocol === 'http:' || proxy.protocol === 'https:' ? proxy : undefined;
}

function isExcepted(url: URL, exceptions: string): boolean {
	const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '').toLowerCase();
	const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
	if (host === 'localhost' || (isIP(host) > 0 && loopback.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4'))) {
		return true;
	}
	return exceptions.split(',').map(one => one.trim().toLowerCase()).some(one => one !== '' && matches(one, host, port));
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function matches(exception: string, host: string, port: string): boolean {
	if (exception === '*') {
		return true;
	}
	if (exception.includes('/')) {
		return inBlock(exception, host);
	}
	const [, bare = exception, wanted = ''] = isIP(exception) === 6 ? [] : /^(.*?)(?::(\d+))?$/.exec(exception) ?? [];
	if (wanted !== '' && wanted !== port) {
		return false;
	}
	const name = bare.replace(/^\[|\]$/g, '').replace(/^\*\./, '.');
	return name.startsWith('.') ? host.endsWith(name) : host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function inBlock(block: string, host: string): boolean {
	const [, network = '', bits = ''] = /^(.+)\/(\d{1,3})$/.exec(block) ?? [];
	const family = isIP(network);
	if (family === 0 || family !== isIP(host) || Number(bits) > (family === 6 ? 128 : 32)) {
		return false;
	}
	const type = family === 6 ? 'ipv6' : 'ipv4';
	const list = new BlockList();
	list.addSubnet(network, Number(bits), type);
	return list.check(host, type);
}
