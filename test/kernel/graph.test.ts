import test from 'ava';
import {planBoot} from '../../kernel/graph.ts';
import {all, maybe, one} from '../../kernel/requirement.ts';
import {contractOf, plugin} from './plugins.ts';

const reasonsOf = (plugins: Parameters<typeof planBoot>): string[] => [...planBoot(...plugins).reasons.values()].flat();

test('a plugin starts after all that it requires, whatever the order of the modules', (t) => {
	const top = plugin('top', {requires: {middle: one(contractOf('middle')), leaves: all(contractOf('leaf'))}});
	const middle = plugin('middle', {requires: {leaf: maybe(contractOf('base'))}});
	const plugins = [top, plugin('leaf', {name: 'b'}), middle, plugin('base'), plugin('leaf', {name: 'a'})];
	t.deepEqual(planBoot(plugins).order.map(({id}) => id), ['io.test.base.v1.it', 'io.test.middle.v1.it', 'io.test.leaf.v1.b', 'io.test.leaf.v1.a', 'io.test.top.v1.it']);
	t.is(planBoot(plugins).reasons.size, 0);
});

test('all providers that a plugin misses are named together', (t) => {
	const needy = plugin('needy', {requires: {x: one(contractOf('x')), y: one(contractOf('y')), z: maybe(contractOf('z'))}});
	t.deepEqual(reasonsOf([[needy]]), ['nothing provides io.test.x.v1', 'nothing provides io.test.y.v1']);
});

test('a provider that is disabled is named to the one that misses it', (t) => {
	const needy = plugin('needy', {requires: {x: one(contractOf('x'))}});
	t.deepEqual(reasonsOf([[needy], [plugin('x')]]), ['io.test.x.v1.it, which provides io.test.x.v1, is in disabled_plugins']);
});

test('a circle is named in full to each of its members, and to nobody else', (t) => {
	const a = plugin('a', {requires: {b: one(contractOf('b'))}});
	const b = plugin('b', {requires: {c: all(contractOf('c'))}});
	const c = plugin('c', {requires: {a: maybe(contractOf('a'))}});
	const user = plugin('user', {requires: {a: one(contractOf('a'))}});
	const {reasons} = planBoot([user, a, b, c]);
	const circle = 'plugins require each other: io.test.a.v1.it -> io.test.b.v1.it -> io.test.c.v1.it -> io.test.a.v1.it';
	t.deepEqual([...reasons].map(([{id}, found]) => [id, found]), [a, b, c].map(({id}) => [id, [circle]]));
});

test('a plugin that requires itself is a circle of one', (t) => {
	t.deepEqual(reasonsOf([[plugin('a', {requires: {a: one(contractOf('a'))}})]]), ['plugins require each other: io.test.a.v1.it -> io.test.a.v1.it']);
});

test('of two plugins with one id the first is used', (t) => {
	const [first, second] = [plugin('a'), plugin('a')];
	const {order, duplicates} = planBoot([first, second]);
	t.deepEqual(order, [first]);
	t.is(duplicates.get(second), first);
});

test('several providers are fine for `all`, and named to who wants one', (t) => {
	const providers = [plugin('x', {name: 'b'}), plugin('x', {name: 'a'})];
	t.deepEqual(reasonsOf([[plugin('many', {requires: {x: all(contractOf('x'))}}), ...providers]]), []);
	for (const want of [one, maybe]) {
		t.deepEqual(reasonsOf([[plugin('single', {requires: {x: want(contractOf('x'))}}), ...providers]]),
			['it wants one provider of io.test.x.v1 and there are io.test.x.v1.b, io.test.x.v1.a: name all but one in disabled_plugins']);
	}
});
