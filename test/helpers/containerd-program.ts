import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Program} from './daemon.ts';
import {keelsondPath} from './keelson-program.ts';
import {programsOf, type Release} from './releases.ts';

// What needs a network, a device or another daemon, and what would write outside of the test's directory.
const disabled = [
	'io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.podsandbox.controller.v1.podsandbox', 'io.containerd.nri.v1.nri',
	'io.containerd.snapshotter.v1.aufs', 'io.containerd.snapshotter.v1.btrfs', 'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.zfs',
	'io.containerd.snapshotter.v1.blockfile', 'io.containerd.snapshotter.v1.erofs', 'io.containerd.tracing.processor.v1.otlp', 'io.containerd.internal.v1.tracing',
];

// Its service for sandboxes wants all controllers, and that of pods wants what CRI stands on.
const sandboxes = /\.cri\.v1\.|podsandbox/v;

export interface ContainerdOptions {
	/** Ours beside its own. */
	readonly shim?: 'keelson';
	/** With its sandbox controllers. */
	readonly isPodServer?: boolean;
	/** TOML after all else, of the second format. */
	readonly config?: string;
}

/** The peer: a real containerd of this release with root, state and socket of its own; with its own shim, or with ours, found on its PATH by the runtime's name. */
export function containerd(release: Release, {shim, isPodServer = false, config: more = ''}: ContainerdOptions = {}): Program {
	return {
		name: shim === undefined ? `containerd ${release}` : `containerd ${release} with keelson's shim`,
		kind: 'containerd',
		...(shim === undefined ? {} : {runtime: 'io.containerd.keelson.v2'}),
		async prepare({config, root, state, address, directory}) {
			await writeFile(config, [
				'version = 2',
				`root = ${JSON.stringify(root)}`,
				`state = ${JSON.stringify(state)}`,
				`disabled_plugins = ${JSON.stringify(isPodServer ? disabled.filter(id => !sandboxes.test(id)) : disabled)}`,
				'[grpc]',
				`address = ${JSON.stringify(address)}`,
				'[plugins."io.containerd.internal.v1.opt"]',
				`path = ${JSON.stringify(path.join(directory, 'opt'))}`,
				more,
				'',
			].join('\n'));
			const folder = programsOf(release);
			return {file: path.join(folder, 'containerd'), args: ['--config', config, '--log-level', 'warn'], env: {PATH: [folder, ...shim === undefined ? [] : [path.dirname(keelsondPath)], process.env['PATH']].join(':')}};
		},
	};
}
