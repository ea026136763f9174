// @ts-check
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {promisify} from 'node:util';
import {definePlugin} from 'keelson';
import {Network} from 'keelson/contracts/network';
import * as z from 'zod';

const run = promisify(execFile);

const config = z.strictObject({
	address: z.string().regex(/^[\d.]+\/\d+$/).default('10.88.0.2/24').describe('What eth0 has in the container, in CIDR form.'),
});

/**
 * The host's end of the pair: the same for a container whoever asks, and 15 characters, which is all that the kernel takes.
 * @param {{namespace: string, containerId: string}} container
 */
const hostEnd = ({namespace, containerId}) => `veth${createHash('sha256').update(`${namespace}/${containerId}`).digest('hex').slice(0, 11)}`;

export const plugin = definePlugin({
	id: 'io.keelson.network.v1.veth',
	provides: Network,
	requires: {},
	config,
	init: ({config: {address}}) => ({
		async attach({path, signal, ...container}) {
			const inside = [`--net=${path}`, 'ip'];
			await run('ip', ['link', 'add', hostEnd(container), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', path], {signal});
			await run('ip', ['link', 'set', hostEnd(container), 'up'], {signal});
			await run('nsenter', [...inside, 'address', 'add', address, 'dev', 'eth0'], {signal});
			await run('nsenter', [...inside, 'link', 'set', 'eth0', 'up'], {signal});
			return {interfaces: [{name: 'eth0', addresses: [address]}]};
		},
		async detach({signal, ...container}) {
			await run('ip', ['link', 'delete', hostEnd(container)], {signal}).catch((/** @type {Error} */ error) => {
				// It went with its peer, when the namespace did, or by an earlier detach.
				if (!/Cannot find device|No such device/.test(error.message)) {
					throw error;
				}
			});
		},
	}),
});
