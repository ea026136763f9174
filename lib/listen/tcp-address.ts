import {KeelsonError} from '../../kernel/errors.ts';

/** The parts of `host:port`; an IPv6 host is in brackets, no host is every address of IPv4. Throws INVALID_ARGUMENT for anything else. */
export function parseTcpAddress(address: string): {readonly host: string; readonly port: number} {
	const {v6, host = '', port} = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:[\]]*)):(?<port>\d{1,5})$/.exec(address)?.groups ?? {};
	if (port === undefined || Number(port) > 65_535) {
		throw new KeelsonError('INVALID_ARGUMENT', `TCP address ${JSON.stringify(address)} is not host:port`);
	}
	return {host: v6 ?? (host === '' ? '0.0.0.0' : host), port: Number(port)};
}
