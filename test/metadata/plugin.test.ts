import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {z} from 'zod';
import {contentSuite} from '../../contracts/content/content.suite.ts';
import {metadataSuite} from '../../contracts/metadata/metadata.suite.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {boot, type Running} from '../../kernel/boot.ts';
import {Config} from '../../kernel/config.ts';
import {definePlugin, one, type Logger} from '../../kernel/index.ts';
import {contract} from '../../kernel/contract.ts';
import {plugin as content} from '../../plugins/content-local/plugin.ts';
import {plugin as events} from '../../plugins/event-exchange/plugin.ts';
import {plugin as metadata} from '../../plugins/metadata-sqlite/plugin.ts';
import {plugin as overlay} from '../../plugins/snapshot-overlay/plugin.ts';
import {strictLog} from './sqlite-in-memory.ts';

interface Booted {
	readonly running: Running;
	readonly metadata: Metadata | undefined;
}

/** The real rooms, in a kernel of their own; a probe hands out what they make. */
async function bootIn(directory: string, plugins: Readonly<Record<string, unknown>> = {}): Promise<Booted> {
	let found: Metadata | undefined;
	const probe = definePlugin({
		id: 'io.test.probe.v1.it', provides: contract('io.test.probe.v1').for<unknown>(), requires: {metadata: one(Metadata)}, config: z.strictObject({}),
		init({services}) {
			found = services.metadata;
		},
	});
	const config = await Config.of({
		root: join(directory, 'root'), state: join(directory, 'state'),
		// Suites collect when they say so.
		plugins: {'io.containerd.gc.v1.scheduler': {startup_delay: '1h', schedule_delay: '1h'}, ...plugins},
	});
	const running = await boot({loaded: {plugins: [content, events, overlay, ...metadata, probe], failures: []}, config, log: strictLog});
	return {running, metadata: found};
}

async function temporary(t?: ExecutionContext): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), 'keelson-metadata-'));
	t?.teardown(async () => rm(directory, {recursive: true, force: true}));
	return directory;
}

async function house(): Promise<Metadata & AsyncDisposable> {
	const directory = await temporary();
	const {running, metadata: found} = await bootIn(directory, {'io.containerd.metadata.v1.bolt': {no_sync: true}});
	if (found === undefined) {
		throw new Error(running.status.plugins().map(({id, error}) => `${id}: ${error?.message ?? 'started'}`).join('\n'));
	}
	return {
		namespaces: found.namespaces,
		snapshotters: found.snapshotters,
		scope: options => found.scope(options),
		collect: async signal => found.collect(signal),
		register: resource => found.register(resource),
		watch: listener => found.watch(listener),
		async [Symbol.asyncDispose]() {
			await running[Symbol.asyncDispose]();
			await rm(directory, {recursive: true, force: true});
		},
	};
}

metadataSuite(test, {name: 'over the disk', supports: {sandboxes: true}, create: house});

contentSuite(test, {
	name: 'content of a namespace on the disk',
	supports: {labels: true},
	create: async () => {
		const made = await house();
		return Object.assign(made.scope({namespace: 'n'}).content, {[Symbol.asyncDispose]: async () => made[Symbol.asyncDispose]()});
	},
});

test('both plugins start, and the rows are still there the next time', async t => {
	const directory = await temporary(t);
	{
		const {running, metadata: found} = await bootIn(directory);
		await using _running = running;
		t.deepEqual(running.status.plugins().filter(({state}) => state !== 'started'), []);
		t.deepEqual(found?.snapshotters, ['overlayfs']);
		await found?.namespaces.create({name: 'n', labels: {a: '1'}});
	}
	const {running, metadata: found} = await bootIn(directory);
	await using _running = running;
	t.deepEqual(await found?.namespaces.list(), [{name: 'n', labels: {a: '1'}}]);
});

test('a root that holds containerd\'s database is refused, by name', async t => {
	const directory = await temporary(t);
	const bolt = join(directory, 'root/io.containerd.metadata.v1.bolt');
	await mkdir(bolt, {recursive: true});
	await writeFile(join(bolt, 'meta.db'), '');
	const log: Logger = {...strictLog, error() {}, with: () => log};
	const config = await Config.of({root: join(directory, 'root'), state: join(directory, 'state')});
	await using running = await boot({loaded: {plugins: [content, events, overlay, ...metadata], failures: []}, config, log});
	const failed = running.status.plugins().find(({id}) => id === 'io.containerd.metadata.v1.sqlite');
	t.is(failed?.state, 'failed');
	t.regex(failed?.error?.message ?? '', /holds containerd's own database .*meta\.db/);
});
