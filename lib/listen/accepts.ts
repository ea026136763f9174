import {once} from 'node:events';
import {connect} from 'node:net';

/** Whether somebody takes connections at the path of a unix socket. Never rejects. */
export async function accepts(path: string): Promise<boolean> {
	const socket = connect(path);
	try {
		await once(socket, 'connect');
		return true;
	} catch {
		return false;
	} finally {
		socket.destroy();
	}
}
