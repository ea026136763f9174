import {once} from 'node:events';
import type {AddressInfo, Server, Socket} from 'node:net';
import type {ExecutionContext} from 'ava';

/** Starts a server on loopback, and ends it with its connections after the test. @returns its host and port */
export async function listening(t: ExecutionContext, server: Server): Promise<string> {
	const sockets = new Set<Socket>();
	server.on('connection', socket => sockets.add(socket));
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		for (const socket of sockets) {
			socket.destroy();
		}
		server.close();
	});
	return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
