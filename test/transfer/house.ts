import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {z} from 'zod';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import type {TransferHouse} from '../../contracts/transfer/transfer.suite.ts';
import {Transfer} from '../../contracts/transfer/transfer.ts';
import {boot} from '../../kernel/boot.ts';
import {Config} from '../../kernel/config.ts';
import {contract, definePlugin, one} from '../../kernel/index.ts';
import {LineLogger} from '../../kernel/log.ts';
import {plugin as content} from '../../plugins/content-local/plugin.ts';
import {plugin as diff} from '../../plugins/diff-tar/plugin.ts';
import {plugin as events} from '../../plugins/event-exchange/plugin.ts';
import {plugin as fetchOci} from '../../plugins/fetch-oci/plugin.ts';
import {plugin as metadata} from '../../plugins/metadata-sqlite/plugin.ts';
import {plugin as overlay} from '../../plugins/snapshot-overlay/plugin.ts';
import {plugin as transferLocal} from '../../plugins/transfer-local/plugin.ts';

/** The transfer room and all that it joins, each the real one, in a kernel and a directory of their own. @param more tables of the configuration, and of plugins' */
export async function createHouse({plugins, ...more}: Readonly<Record<string, unknown>> & {readonly plugins?: Readonly<Record<string, unknown>>} = {}): Promise<TransferHouse> {
	await using making = new AsyncDisposableStack();
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-transfer-'));
	making.defer(async () => rm(directory, {recursive: true, force: true}));
	let found: Pick<TransferHouse, 'transfer' | 'metadata'> | undefined;
	const probe = definePlugin({
		id: 'io.test.probe.v1.it', provides: contract('io.test.probe.v1').for<unknown>(), requires: {transfer: one(Transfer), metadata: one(Metadata)}, config: z.strictObject({}),
		init({services}) {
			found = services;
			return services;
		},
	});
	const lines: string[] = [];
	const config = await Config.of({
		...more,
		root: path.join(directory, 'root'), state: path.join(directory, 'state'),
		plugins: {
			...plugins,
			// Suites collect when they say so.
			'io.containerd.gc.v1.scheduler': {startup_delay: '1h', schedule_delay: '1h'},
			'io.containerd.snapshotter.v1.overlayfs': {sync_remove: true},
		},
	});
	const log = new LineLogger({level: 'warn', format: 'text', write: line => lines.push(line)});
	making.use(await boot({loaded: {plugins: [content, events, overlay, ...diff(config.daemon, (at, reason) => lines.push(`${at.join('.')} ${reason}`)), fetchOci, ...metadata, transferLocal, probe], failures: []}, config, log}));
	if (found === undefined) {
		throw new Error(lines.join('\n'));
	}
	const ending = making.move();
	return {...found, [Symbol.asyncDispose]: async () => ending.disposeAsync()};
}
