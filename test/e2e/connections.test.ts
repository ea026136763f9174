import {once} from 'node:events';
import {readdir, readlink} from 'node:fs/promises';
import {connect} from 'node:net';
import {endToEnd} from '../helpers/end-to-end.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('connections', {pulls: false});

const CLIENTS = 20;

async function socketsOf(pid: number): Promise<number> {
	const links = await Promise.all((await readdir(`/proc/${pid}/fd`)).map(async fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
	return links.filter(link => link.startsWith('socket:')).length;
}

scenario('clients that ended, however they did, leave the daemon no descriptors', async ({t, ctr, daemon}) => {
	const {pid, places: {address}} = daemon;
	await ctr.ok('version');
	const settled = async (): Promise<number> => {
		let before = -1;
		return until('the number of sockets to rest', async () => {
			const now = await socketsOf(pid);
			const rests = now === before;
			before = now;
			return rests && now;
		}, {everyMs: 500});
	};
	const before = await settled();
	for (let count = 0; count < CLIENTS; count++) {
		await ctr.ok('version');
		// One says nothing, one is in the middle of something, and one closes its side alone.
		for (const [path, starts] of [[address, ['', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']], [`${address}.ttrpc`, ['', '\0\0\0']]] as const) {
			for (const [first, isHalf] of [...starts.map(start => [start, false] as const), [starts[1].slice(0, 3), true] as const]) {
				const socket = connect({path, allowHalfOpen: isHalf});
				await once(socket, 'connect');
				socket.on('error', () => {});
				if (isHalf) {
					socket.end(first);
					await once(socket.resume(), 'close');
				} else {
					socket.write(first, () => socket.destroy());
				}
			}
		}
	}
	await until(`no more sockets than the ${before} before`, async () => await socketsOf(pid) <= before + 2);
	t.true(await settled() <= before + 2);
});
