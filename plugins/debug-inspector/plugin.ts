/** Shows the inside of the daemon to its operator: profiles, a heap snapshot and what it waits for, over HTTP at containerd's debug address. */

import {z} from 'zod';
import {Server} from '../../contracts/grpc/server.ts';
import {definePlugin} from '../../kernel/index.ts';

const id = z.int().min(0).default(0);

export const plugin = definePlugin({
	id: 'io.containerd.server.v1.debug',
	provides: Server,
	requires: {},
	config: z.strictObject({
		address: z.string().default('').describe('path of a socket, or host:port, which whoever reaches the host may use; empty: nowhere'),
		uid: id.describe('owner of the socket'),
		gid: id.describe('group of the socket'),
	}),
	async init({config: {address, uid, gid}, lifetime, log, skip}) {
		if (address === '') {
			skip('there is no address for debugging');
		}
		// Most daemons serve nothing of this, and start without loading it.
		const [{listenHttp}, {debugRoutes}] = await Promise.all([import('../../lib/listen/http-listener.ts'), import('./routes.ts')]);
		const listening = lifetime.use(await listenHttp({address, owner: {uid, gid}, routes: debugRoutes(), failed: error => log.error('debugging failed', {error})}));
		log.info('serving debugging', {address: listening.address});
		return {addresses: [listening.address]};
	},
});
