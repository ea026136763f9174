/** Streams between a client's connection and what it asked for by another call. */

import {z} from 'zod';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {StreamManager} from '../../contracts/stream/stream.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {LocalStreamManager} from './manager.ts';

export const plugin = definePlugin({
	id: 'io.containerd.streaming.v1.manager',
	provides: StreamManager,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init({services: {metadata}, lifetime}) {
		const streams = lifetime.use(new LocalStreamManager());
		lifetime.use(metadata.register(streams));
		return streams;
	},
});
