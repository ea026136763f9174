/** Events to whoever listens now, in the order of publishing. */

import {z} from 'zod';
import {EventBus} from '../../contracts/event/event.ts';
import {definePlugin} from '../../kernel/index.ts';
import {EventExchange} from './exchange.ts';

export const plugin = definePlugin({
	id: 'io.containerd.event.v1.exchange',
	provides: EventBus,
	requires: {},
	config: z.strictObject({}),
	init: () => new EventExchange(),
});
