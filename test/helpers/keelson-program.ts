import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Places, Program} from './daemon.ts';
import {programsOf, type Release} from './releases.ts';

/** The checkout, or what scripts/build made of it where `KEELSON_FOLDER` says so: scripts/test and scripts/bench do. */
const folder = process.env['KEELSON_FOLDER'] ?? path.join(import.meta.dirname, '../..');

export const keelsondPath = path.join(folder, 'bin/keelsond');
export const keelsonPath = path.join(folder, 'bin/keelson');

export interface KeelsonOptions {
	/** TOML laid over the checkout's own configuration. */
	readonly config?: string;
	readonly args?: readonly string[];
}

/** The daemon under test, as a user starts it: bin/keelsond with containerd's flags. */
export function keelson(options: KeelsonOptions = {}): Program {
	return {
		name: 'keelson',
		kind: 'keelson',
		async prepare(places) {
			await writeFile(places.config, options.config ?? '');
			return {file: keelsondPath, args: [...keelsonArguments(places), ...options.args ?? []]};
		},
	};
}

/** The same with containerd's shim of a release in the place of ours. */
export function keelsonWithShimOf(release: Release): Program {
	const shim = path.join(programsOf(release), 'containerd-shim-runc-v2');
	const config = `[plugins."io.containerd.runtime.v2.task".runtimes]\n"io.containerd.runc.v2" = ${JSON.stringify(shim)}\n`;
	return {...keelson({config}), name: `keelson with runc's shim of ${release}`};
}

export function keelsonArguments({config, root, state, address}: Places): string[] {
	return ['--config', config, '--root', root, '--state', state, '--address', address, '--log-level', 'info'];
}
