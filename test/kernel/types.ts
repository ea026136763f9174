// Checked by the compiler alone: each line that must not compile says so.
import * as z from 'zod';
import {all, contract, definePlugin, definePlugins, maybe, one} from '../../kernel/index.ts';

interface Clock {
	now(): number;
}
const Clock = contract('io.test.clock.v1').for<Clock>();
const Bell = contract('io.test.bell.v1').for<{ring(): void}>();
const config = z.strictObject({zone: z.string().default('utc')});

definePlugin({
	id: 'io.test.bell.v1.it',
	provides: Bell,
	requires: {clock: one(Clock), spare: maybe(Clock), bells: all(Bell)},
	config,
	init({services: {clock, spare, bells}, config: {zone}}) {
		const values: [number, number | undefined, ReadonlyMap<string, {ring(): void}>, string] = [clock.now(), spare?.now(), bells, zone];
		// @ts-expect-error: what may be missing has to be asked for
		spare.now();
		return {ring: () => void values};
	},
});

// @ts-expect-error: the id begins with the contract's type
definePlugin({id: 'io.test.clock.v1.it', provides: Bell, requires: {}, config, init: () => ({ring() {}})});

// @ts-expect-error: what init gives is what the contract says
definePlugin({id: 'io.test.bell.v1.it', provides: Bell, requires: {}, config, init: () => ({rings() {}})});

definePlugin({
	id: 'io.test.bell.v1.it', provides: Bell, requires: {}, config,
	// @ts-expect-error: a service that was not asked for is not there
	init: ({services: {clock}}) => ({ring: () => void clock}),
});

definePlugin({
	id: 'io.test.bell.v1.it', provides: Bell, requires: {}, config,
	// @ts-expect-error: the configuration has what the schema has
	init: ({config: {size}}) => ({ring: () => void size}),
});

// @ts-expect-error: a contract's type ends in a version
contract('io.test.clock');

// @ts-expect-error: what makes plugins makes nothing else
definePlugins(() => [{id: 'io.test.bell.v1.it'}]);
