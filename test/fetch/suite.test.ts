import test from 'ava';
import {fetchSuite} from '../../contracts/fetch/fetch.suite.ts';
import {Registry} from '../helpers/registry.ts';
import {clientOf} from './client.ts';

let real: Registry;

test.before(async () => {
	real = await Registry.start();
});

test.after.always(async () => {
	await real?.[Symbol.asyncDispose]();
});

for (const [how, parts] of [['whole', {}], ['in parts', {ranges: {concurrency: 3, bytes: 256 * 1024}}]] as const) {
	fetchSuite(test, {name: `fetch-oci, ${how}`, async create() {
		const registry = clientOf(parts);
		return {registry, place: real.host, [Symbol.asyncDispose]: async () => registry[Symbol.asyncDispose]()};
	}});
}
