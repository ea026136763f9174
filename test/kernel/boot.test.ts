import {stat} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import * as z from 'zod';
import {all, type Container, type KernelStatus, maybe, one} from '../../kernel/index.ts';
import {bootIn, contractOf, plugin} from './plugins.ts';
import {Room} from './room.ts';

const statesOf = (status: KernelStatus): string[] => status.plugins().map(({name, type, state}) => `${type.split('.')[2]}.${name} ${state}`);
const errorOf = (status: KernelStatus, id: string): string => status.plugins().find((each) => each.id === id)?.error?.message ?? '';

test('each plugin gets what it requires, by the names that it gave', async (t) => {
	await using room = await Room.make();
	let services: unknown;
	const user = plugin('user', {
		requires: {single: one(contractOf('single')), none: maybe(contractOf('none')), many: all(contractOf('many')), nobody: all(contractOf('nobody'))},
		init(context) {
			services = context.services;
		},
	});
	const {running} = await bootIn(room, [user, plugin('many', {name: 'a', init: () => 1}), plugin('many', {name: 'b', init: async () => 2}), plugin('single')]);
	t.deepEqual(services, {single: 'single', none: undefined, many: new Map([['a', 1], ['b', 2]]), nobody: new Map()});
	await running[Symbol.asyncDispose]();
});

test('plugins stop in reverse, once, also those before one whose end throws', async (t) => {
	await using room = await Room.make();
	const stops: string[] = [];
	const make = (kind: string, below: string[], isBad = false) => plugin(kind, {
		requires: Object.fromEntries(below.map((name) => [name, one(contractOf(name))])),
		init({lifetime}) {
			lifetime.defer(() => {
				stops.push(kind);
				if (isBad) {
					throw new Error('will not end');
				}
			});
		},
	});
	const {running, lines} = await bootIn(room, [make('c', ['b']), make('b', ['a'], true), make('a', [])]);
	await Promise.all([running[Symbol.asyncDispose](), running[Symbol.asyncDispose]()]);
	t.deepEqual(stops, ['c', 'b', 'a']);
	t.true(lines.some((line) => line.includes('failed to stop plugin') && line.includes('will not end') && line.includes('io.test.b.v1.it')));
	t.deepEqual(statesOf(running.status), ['a.it stopped', 'b.it stopped', 'c.it stopped']);
});

test('the signal aborts before any lifetime is closed', async (t) => {
	await using room = await Room.make();
	const order: string[] = [];
	const {running} = await bootIn(room, [plugin('a', {init({signal, lifetime}) {
		signal.addEventListener('abort', () => order.push('signal'));
		lifetime.defer(() => {
			order.push('lifetime');
		});
	}})]);
	await running[Symbol.asyncDispose]();
	t.deepEqual(order, ['signal', 'lifetime']);
});

test('a plugin that hangs while stopping is given up at the deadline, and the others still stop', async (t) => {
	await using room = await Room.make();
	let isStopped = false;
	const first = plugin('a', {init: ({lifetime}) => lifetime.defer(() => {
		isStopped = true;
	})});
	const hanging = plugin('b', {requires: {a: one(contractOf('a'))}, init: ({lifetime}) => lifetime.defer(() => new Promise(() => undefined))});
	const {running, lines} = await bootIn(room, [first, hanging], {}, {stopTimeoutMs: 100});
	await running[Symbol.asyncDispose]();
	t.true(isStopped);
	t.regex(lines.join(''), /plugin io\.test\.b\.v1\.it has not stopped after 50 ms/);
});

test('a plugin that fails leaves out those that require it, and nobody else; what it had opened is closed', async (t) => {
	await using room = await Room.make();
	let isClosed = false;
	const bad = plugin('bad', {init({lifetime}) {
		lifetime.defer(() => {
			isClosed = true;
		});
		throw new Error('no such device');
	}});
	const {running, lines} = await bootIn(room, [
		bad, plugin('user', {requires: {bad: one(contractOf('bad'))}}), plugin('tolerant', {requires: {bad: maybe(contractOf('bad'))}}), plugin('other'),
	]);
	t.true(isClosed);
	t.deepEqual(statesOf(running.status), ['bad.it failed', 'user.it failed', 'tolerant.it started', 'other.it started']);
	t.is(errorOf(running.status, 'io.test.user.v1.it'), 'plugin io.test.user.v1.it requires io.test.bad.v1, and plugin io.test.bad.v1.it is failed: no such device');
	t.true(lines.some((line) => line.includes('level=error msg="failed to load plugin"') && line.includes('no such device') && line.includes('id=io.test.bad.v1.it')));
	await running[Symbol.asyncDispose]();
});

test('a plugin that stands down is skipped, and so are those that need it', async (t) => {
	await using room = await Room.make();
	const {running} = await bootIn(room, [
		plugin('a', {init: ({skip}) => skip('there is no such file system')}), plugin('b', {requires: {a: one(contractOf('a'))}}),
	]);
	t.deepEqual(statesOf(running.status), ['a.it skipped', 'b.it skipped']);
	t.is(errorOf(running.status, 'io.test.a.v1.it'), 'skip plugin: there is no such file system');
	t.regex(errorOf(running.status, 'io.test.b.v1.it'), /skip plugin/);
	await running[Symbol.asyncDispose]();
});

test('a plugin that is slow to start is given up, told so, and named with the likely causes', async (t) => {
	await using room = await Room.make();
	let reason: unknown;
	const slow = plugin('slow', {initTimeoutMs: 50, init: async ({signal}) => {
		await new Promise((done) => {
			signal.addEventListener('abort', done);
		});
		reason = signal.reason;
		throw new Error('nobody hears this');
	}});
	const {running} = await bootIn(room, [slow]);
	t.is(errorOf(running.status, 'io.test.slow.v1.it'), 'plugin io.test.slow.v1.it is not ready after 50 ms: '
		+ 'it waits for something that does not answer (a socket, a lock, a host), or its init does work that belongs after it');
	await sleep(10);
	t.is(reason, running.status.plugins()[0]?.error);
	await running[Symbol.asyncDispose]();
});

test('what a plugin opens after it was given up is refused', async (t) => {
	await using room = await Room.make();
	const {promise, resolve} = Promise.withResolvers<unknown>();
	const {running} = await bootIn(room, [plugin('slow', {initTimeoutMs: 20, init: async ({lifetime, signal}) => {
		await new Promise((done) => {
			signal.addEventListener('abort', done);
		});
		try {
			lifetime.defer(() => undefined);
			resolve(undefined);
		} catch (error) {
			resolve(error);
		}
	}})]);
	t.true(await promise instanceof ReferenceError);
	await running[Symbol.asyncDispose]();
});

test('boot rejects, with all stopped again, when a required plugin fails, is skipped, is disabled or is not there', async (t) => {
	await using room = await Room.make();
	const stops: string[] = [];
	const plugins = [
		plugin('good', {init: ({lifetime}) => lifetime.defer(() => {
			stops.push('good');
		})}),
		plugin('bad', {init: () => {
			throw new Error('no such device');
		}}),
		plugin('odd', {init: ({skip}) => skip('not here')}),
		plugin('off'),
	];
	const required = ['io.test.bad.v1.it', 'io.test.odd.v1.it', 'io.test.off.v1.it', 'io.test.gone.v1.it', 'io.test.good.v1.it'];
	const error = await t.throwsAsync(bootIn(room, plugins, {required_plugins: required, disabled_plugins: ['io.test.off.v1.it']}));
	t.is(error.message, 'required plugins did not start: io.test.bad.v1.it: no such device; io.test.odd.v1.it: skip plugin: not here; '
		+ 'io.test.off.v1.it: no module provides it, or it is disabled; io.test.gone.v1.it: no module provides it, or it is disabled');
	t.deepEqual(stops, ['good']);
});

test('a plugin that is disabled, by id or by name, is not there', async (t) => {
	await using room = await Room.make();
	const {running, lines} = await bootIn(room, [plugin('a'), plugin('b', {name: 'other'}), plugin('c')], {disabled_plugins: ['io.test.a.v1.it', 'other', 'nobody']});
	t.deepEqual(statesOf(running.status), ['c.it started']);
	t.regex(lines.join(''), /level=warning msg="disabled_plugins names nobody, which is not here"/);
	await running[Symbol.asyncDispose]();
});

test('a boot that is aborted stops what has started', async (t) => {
	await using room = await Room.make();
	const stop = new AbortController();
	let isStopped = false;
	const first = plugin('a', {init: ({lifetime}) => lifetime.defer(() => {
		isStopped = true;
	})});
	const waiting = plugin('b', {requires: {a: one(contractOf('a'))}, init: () => {
		stop.abort(new Error('enough'));
		return new Promise(() => undefined);
	}});
	await t.throwsAsync(bootIn(room, [first, waiting], {}, {signal: stop.signal}), {message: 'enough'});
	t.true(isStopped);
});

test('directories are made before init, closed to others', async (t) => {
	await using room = await Room.make();
	const modes: number[] = [];
	const {running} = await bootIn(room, [plugin('a', {async init({root, state}) {
		modes.push((await stat(root)).mode & 0o777, (await stat(state)).mode & 0o777);
	}})]);
	t.deepEqual(modes, [0o700, 0o711]);
	await running[Symbol.asyncDispose]();
});

test('a container shows a plugin what it requires and what it registers, and nothing of others', async (t) => {
	await using room = await Room.make();
	const containers: Container[] = [];
	const first = plugin('a', {init({container}) {
		container.register('mine', {useValue: 1});
		containers.push(container);
		return 'service of a';
	}});
	const second = plugin('b', {requires: {renamed: one(contractOf('a'))}, init: ({container}) => containers.push(container)});
	const third = plugin('c', {init: ({container}) => containers.push(container)});
	const {running} = await bootIn(room, [first, second, third]);
	t.is(containers[1]?.resolve('io.test.a.v1'), 'service of a');
	t.false(containers[1]?.isRegistered('mine', true));
	t.false(containers[2]?.isRegistered('io.test.a.v1', true));
	await running[Symbol.asyncDispose]();
});

test('the status has each plugin with its time, what it exports and what it can', async (t) => {
	await using room = await Room.make();
	const {running} = await bootIn(room, [plugin('a', {requires: {b: maybe(contractOf('b'))}, init({status}) {
		status.export('io.test.a.v1.it', {root: '/x'});
		status.enable('io.test.a.v1.it', ['fast', 'fast']);
	}})]);
	const [found] = running.status.plugins();
	t.like(found, {id: 'io.test.a.v1.it', type: 'io.test.a.v1', name: 'it', requires: ['io.test.b.v1'], exports: {root: '/x'}, capabilities: ['fast'], state: 'started'});
	t.true((found?.initMs ?? -1) >= 0);
	t.throws(() => running.status.enable('io.test.none.v1.it', ['x']), {message: 'there is no plugin io.test.none.v1.it'});
	t.throws(() => running.status.export('io.test.none.v1.it', {}), {message: 'there is no plugin io.test.none.v1.it'});
	await running[Symbol.asyncDispose]();
});

test('no plugin can change the configuration that others read', async (t) => {
	await using room = await Room.make();
	const {running} = await bootIn(room, [plugin('a', {init({daemon}) {
		(daemon.config['grpc'] as Record<string, unknown>)['address'] = '/elsewhere';
	}})], {grpc: {address: '/here'}});
	t.regex(errorOf(running.status, 'io.test.a.v1.it'), /read only/);
	await running[Symbol.asyncDispose]();
});

test('a wrong key fails its plugin alone, and an unknown one is dropped', async (t) => {
	await using room = await Room.make();
	const config = z.strictObject({size: z.number().default(1)});
	let seen: unknown;
	const {running, lines} = await bootIn(room, [plugin('a', {config}), plugin('b', {config, init: (context) => {
		seen = context.config;
	}})], {plugins: {'io.test.a.v1.it': {size: 'big'}, 'io.test.b.v1.it': {sise: 2}}});
	t.deepEqual(statesOf(running.status), ['a.it failed', 'b.it started']);
	t.deepEqual(seen, {size: 1});
	t.is(errorOf(running.status, 'io.test.a.v1.it'), 'config of plugin io.test.a.v1.it: key size is "big": Invalid input: expected number, received string');
	t.regex(lines.join(''), /key sise is unknown to plugin io\.test\.b\.v1\.it/);
	await running[Symbol.asyncDispose]();
});
