/** Streams between a client's connection and what it asked for by another call. */

import {z} from 'zod';
import {StreamManager} from '../../contracts/stream/stream.ts';
import {definePlugin} from '../../kernel/index.ts';
import {LocalStreamManager} from './manager.ts';

export const plugin = definePlugin({
	id: 'io.containerd.streaming.v1.manager',
	provides: StreamManager,
	requires: {},
	config: z.strictObject({}),
	init: ({lifetime}) => lifetime.use(new LocalStreamManager()),
});
