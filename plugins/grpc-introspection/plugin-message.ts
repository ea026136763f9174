import {platformMessage} from '../../api/convert/platform.ts';
import {statusCodes} from '../../api/convert/status-code.ts';
import type {Plugin} from '../../api/gen/services/introspection/v1/introspection.ts';
import {hostPlatform} from '../../contracts/oci/platform.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {PluginStatus} from '../../kernel/status.ts';

/** Clients choose snapshotters, differs and runtimes by platform; all of ours are for this host's. */
const WITH_PLATFORM = new Set(['io.containerd.snapshotter.v1', 'io.containerd.differ.v1', 'io.containerd.runtime.v2']);

/** A plugin as the wire shows it: one that is skipped or has failed says why. */
export function pluginMessage({type, name, requires, exports, capabilities, error}: PluginStatus): Plugin {
	return {
		type,
		id: name,
		requires,
		platforms: WITH_PLATFORM.has(type) ? [platformMessage(hostPlatform())] : [],
		exports: {...exports},
		capabilities,
		initErr: error === undefined ? undefined : {code: statusCodes[KeelsonError.from(error).code], message: error.message, details: []},
	};
}

/** The fields that filters on plugins name. */
export function fieldOf({type, id, platforms, capabilities}: Plugin, path: readonly string[]): string | undefined {
	const fields: Readonly<Record<string, string>> = {
		type, id, capabilities: capabilities.join(','),
		platforms: platforms.map(({os, architecture, variant}) => [os, architecture, variant].filter(part => part !== '').join('/')).join(','),
	};
	const name = path.join('.');
	return Object.hasOwn(fields, name) ? fields[name] : undefined;
}
