import {once} from 'node:events';
import {connect} from 'node:net';

/** Whether somebody listens on a socket. */
export async function accepts(address: string): Promise<boolean> {
	const socket = connect(address);
	try {
		await once(socket, 'connect');
		return true;
	} catch {
		return false;
	} finally {
		socket.destroy();
	}
}
