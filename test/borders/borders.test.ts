import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import rules from '../../.dependency-cruiser.mjs';

const top = fileURLToPath(new URL('../../', import.meta.url));

/** For every rule: a file that breaks it, and what it says. All other files of the planted house are there to be imported. */
const breaches: Readonly<Record<string, readonly [file: string, source: string]>> = {
	'every-folder-has-a-rule': ['garage/breach.ts', `import '../lib/a.ts';`],
	'every-import-is-found': ['lib/lost.ts', `import './nowhere.ts';`],
	'nothing-goes-round': ['lib/circle-a.ts', `import './circle-b.ts';`],
	'the-ground-stands-alone': ['lib/breach.ts', `import '../kernel/boot.ts';`],
	'only-lib-sys-calls-the-system': ['plugins/content-local/koffi.ts', `import 'koffi';`],
	'the-kernel-knows-nothing-of-the-house': ['kernel/breach.ts', `import '../lib/a.ts';`],
	'only-the-kernel-knows-its-container': ['plugins/content-local/container.ts', `import 'tsyringe';`],
	'contracts-do-no-io': ['contracts/content/breach-io.ts', `import 'node:fs';`],
	'contracts-need-no-package': ['contracts/content/breach-package.ts', `import 'zod';`],
	'contracts-stand-on-tokens-and-values': ['contracts/content/breach.ts', `import '../../lib/a.ts';`],
	'contracts-share-only-values': ['contracts/content/breach-share.ts', `import '../snapshot/snapshot.ts';`],
	'the-fetch-contract-never-knows-storage': ['contracts/fetch/breach.ts', `import type {Content} from '../content/content.ts'; export type X = Content;`],
	'plugins-never-meet': ['plugins/content-local/meets.ts', `import '../snapshot-overlay/plugin.ts';`],
	'plugins-stand-on-kernel-contracts-and-lib': ['plugins/content-local/breach.ts', `import '../../client/client.ts';`],
	'plugins-bring-only-their-own-packages': ['plugins/content-local/package.ts', `import 'tar-stream';`],
	'fetch-never-knows-storage': ['plugins/fetch-oci/storage.ts', `import type {Content} from '../../contracts/content/content.ts'; export type X = Content;`],
	'fetch-reads-only-its-own-config': ['plugins/fetch-oci/files.ts', `import 'node:fs/promises';`],
	'mounting-never-knows-snapshots': ['plugins/mount-local/snapshot.ts', `import type {Snapshot} from '../../contracts/snapshot/snapshot.ts'; export type X = Snapshot;`],
	'only-adapters-know-the-wire': ['plugins/content-local/wire.ts', `import '../../api/gen/services/x.ts';`],
	'the-shim-knows-only-its-own-messages': ['plugins/shim/wire.ts', `import '../../api/gen/services/x.ts';`],
	'metrics-read-only-numbers-of-control-groups': ['plugins/metrics-cgroups/breach.ts', `import '../../api/gen/services/x.ts';`],
	'only-adapters-speak-grpc': ['plugins/content-local/grpc.ts', `import '@grpc/grpc-js';`],
	'the-shim-stays-small': ['bin/containerd-shim-keelson-v2.ts', `import '../plugins/shim/heavy.ts';`],
	'bin-only-joins': ['bin/breach.ts', `import '../plugins/content-local/plugin.ts';`],
	'the-client-stands-on-the-wire': ['client/breach.ts', `import '../kernel/boot.ts';`],
	'the-wire-stands-on-values': ['api/gen/breach.ts', `import '../../plugins/content-local/plugin.ts';`],
	'examples-import-the-package': ['examples/network-x/breach.ts', `import '../../kernel/boot.ts';`],
	'what-ships-needs-no-development-package': ['plugins/fetch-oci/package.ts', `import 'tar-stream';`],
	'scripts-stand-on-build-tools': ['scripts/breach.ts', `import '../kernel/boot.ts';`],
	'nothing-stands-on-tests': ['plugins/content-local/tests.ts', `import '../../test/helper.ts';`],
};

const others: Readonly<Record<string, string>> = {
	'lib/a.ts': 'export {};',
	'lib/circle-b.ts': `import './circle-a.ts';`,
	'kernel/boot.ts': 'export {};',
	'kernel/errors.ts': 'export {};',
	'contracts/content/content.ts': `import type {Snapshot} from '../snapshot/snapshot.ts'; import '../oci/digest.ts'; export type Content = Snapshot;`,
	'contracts/snapshot/snapshot.ts': 'export type Snapshot = string;',
	'contracts/oci/digest.ts': `import '../../kernel/errors.ts';`,
	'plugins/content-local/plugin.ts': `import '../../contracts/content/content.ts'; import '../../lib/a.ts'; import '../../kernel/boot.ts'; import 'zod';`,
	'plugins/snapshot-overlay/plugin.ts': 'export {};',
	'plugins/grpc-content/plugin.ts': `import '../../api/gen/services/x.ts'; import '@grpc/grpc-js';`,
	'plugins/shim/heavy.ts': `import 'zod';`,
	'api/gen/services/x.ts': 'export {};',
	'client/client.ts': `import '../api/gen/services/x.ts';`,
	'test/helper.ts': 'export {};',
};

test('every rule has a breach planted here, and no other', t => {
	t.deepEqual(Object.keys(breaches).toSorted(), rules.forbidden.map(({name}) => name).toSorted());
});

test('each planted breach is caught by its rule, and what is allowed is left alone', async t => {
	const house = await mkdtemp(path.join(tmpdir(), 'keelson-borders-'));
	t.teardown(async () => rm(house, {recursive: true, force: true}));
	for (const [file, source] of [...Object.entries(others), ...Object.values(breaches)]) {
		await mkdir(path.dirname(path.join(house, file)), {recursive: true});
		await writeFile(path.join(house, file), `${source}\n`);
	}
	await Promise.all(['node_modules', 'tsconfig.json', 'package.json', '.dependency-cruiser.mjs'].map(async name => symlink(path.join(top, name), path.join(house, name))));
	const found = await cruise(house);
	for (const [rule, [file]] of Object.entries(breaches)) {
		t.true(found.some(violation => violation.rule === rule && violation.from === file), `${file} breaks ${rule}`);
	}
	const innocent = new Set(Object.keys(others).filter(file => file !== 'lib/circle-b.ts'));
	t.deepEqual(found.filter(({from}) => innocent.has(from)), []);
});

interface Violation {
	readonly rule: string;
	readonly from: string;
}

async function cruise(house: string): Promise<Violation[]> {
	const folders = ['api', 'bin', 'client', 'contracts', 'examples', 'garage', 'kernel', 'lib', 'plugins', 'scripts', 'test'];
	const output = await new Promise<string>(resolve => {
		execFile(process.execPath, [path.join(top, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs'), '--preserve-symlinks', '--config', '.dependency-cruiser.mjs', '--output-type', 'json', ...folders], {cwd: house, maxBuffer: 64 * 1024 * 1024}, (_error, stdout) => {
			resolve(stdout);
		});
	});
	const report = JSON.parse(output) as {summary: {violations: {rule: {name: string}; from: string}[]}};
	return report.summary.violations.map(({rule, from}) => ({rule: rule.name, from}));
}
