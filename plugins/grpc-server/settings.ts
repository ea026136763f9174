import {z} from 'zod';
import type {Limits} from './server-call.ts';

const DEFAULT_ADDRESS = '/run/keelson/keelson.sock';
const DEFAULT_MESSAGE_BYTES = 16 * 1024 * 1024;

const id = z.int().min(0).default(0);
const path = z.string().default('');
const bytes = z.int().min(0).default(DEFAULT_MESSAGE_BYTES);

/** The `[grpc]` table, which is this plugin's own. */
export const grpcConfig = z.strictObject({
	address: z.string().default(DEFAULT_ADDRESS).describe('path of the socket; parent directories are made'),
	uid: id.describe('owner of the socket'),
	gid: id.describe('group of the socket'),
	tcp_address: z.string().default('').describe('host:port to serve too; empty: none'),
	tcp_tls_ca: path.describe('PEM file; clients of the TCP address must show a certificate that it signed'),
	tcp_tls_cert: path.describe('PEM file; with tcp_tls_key, the TCP address speaks TLS'),
	tcp_tls_key: path.describe('PEM file of the certificate\'s key'),
	tcp_tls_common_name: path.describe('names a certificate in the store of Windows; refused here'),
	max_recv_message_size: bytes.describe('bytes that a request message may have; 0: the default'),
	max_send_message_size: bytes.describe('bytes that a response message may have; 0: the default'),
	tcp_max_recv_message_size: z.int().min(0).optional().describe('the same for the TCP address; by default max_recv_message_size'),
	tcp_max_send_message_size: z.int().min(0).optional().describe('the same for the TCP address; by default max_send_message_size'),
});

// The kernel has checked and completed it: the address follows from grpc's where it is not given.
const ttrpcConfig = z.object({address: path, uid: id, gid: id}).prefault({});

export interface SocketSettings {
	readonly address: string;
	readonly uid: number;
	readonly gid: number;
}

export interface TcpSettings extends Limits {
	/** `host:port` */
	readonly address: string;
	/** Paths of PEM files; empty: none. */
	readonly ca: string;
	readonly cert: string;
	readonly key: string;
	readonly commonName: string;
}

/** Where and how to listen. */
export interface Settings {
	readonly grpc: SocketSettings & Limits;
	readonly ttrpc: SocketSettings;
	readonly tcp: TcpSettings | undefined;
}

/** Joins the plugin's own table with the daemon's `[ttrpc]`. */
export function settingsOf(grpc: z.output<typeof grpcConfig>, daemon: Readonly<Record<string, unknown>>): Settings {
	const ttrpc = ttrpcConfig.parse(daemon['ttrpc']);
	const address = socketPath(grpc.address) || DEFAULT_ADDRESS;
	const receiveMax = grpc.max_recv_message_size || DEFAULT_MESSAGE_BYTES;
	const sendMax = grpc.max_send_message_size || DEFAULT_MESSAGE_BYTES;
	return {
		grpc: {address, uid: grpc.uid, gid: grpc.gid, receiveMax, sendMax},
		ttrpc: {...ttrpc, address: socketPath(ttrpc.address) || `${address}.ttrpc`},
		tcp: grpc.tcp_address === '' ? undefined : {
			address: grpc.tcp_address, ca: grpc.tcp_tls_ca, cert: grpc.tcp_tls_cert, key: grpc.tcp_tls_key, commonName: grpc.tcp_tls_common_name,
			receiveMax: grpc.tcp_max_recv_message_size || receiveMax, sendMax: grpc.tcp_max_send_message_size || sendMax,
		},
	};
}

function socketPath(address: string): string {
	return address.replace(/^unix:(?:\/\/)?/, '');
}
