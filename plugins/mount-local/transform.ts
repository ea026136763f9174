import type {ActiveMount} from '../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {O_PATH} from '../../lib/sys/at.ts';
import {openConfined} from './confined-path.ts';
import {makeDirectories} from './mkdir.ts';
import {makeFileSystem, type MkfsLimits} from './mkfs.ts';
import type {PlannedMount} from './plan.ts';
import {fillIn} from './template.ts';

/** Applies a mount's transformers; `active` are the mounts before it. `limits.roots` are those that do not depend on the activation. */
export async function transform({mount, transformers}: PlannedMount, active: readonly ActiveMount[], limits: MkfsLimits, signal: AbortSignal): Promise<Mount> {
	const roots = [...limits.roots, ...active.map(({mountPoint}) => mountPoint)];
	let result = mount;
	for (const transformer of transformers) {
		switch (transformer) {
			case 'format': {
				result = fillIn(result, active);
				break;
			}
			case 'mkfs': {
				result = await makeFileSystem(result, {...limits, roots}, signal);
				break;
			}
			case 'mkdir': {
				result = makeDirectories(result, roots);
				break;
			}
		}
	}
	if (transformers.includes('format')) {
		refuseLinks(result, active);
	}
	return result;
}

/**
 * What is in an active mount is a stranger's: `upperdir={{ mount 0 }}/upper` would follow a link `upper` to wherever it leads on this machine.
 * Throws FAILED_PRECONDITION, and INVALID_ARGUMENT for a path that leads out by itself.
 */
function refuseLinks({source, options}: Mount, active: readonly ActiveMount[]): void {
	const paths = [source, ...options.map(option => option.slice(option.indexOf('=') + 1))].flatMap(text => text.split(':'));
	for (const path of paths) {
		const within = active.find(({mountPoint}) => path.startsWith(`${mountPoint}/`));
		if (within !== undefined) {
			const below = path.slice(within.mountPoint.length + 1);
			if (below.split('/').includes('..')) {
				throw new KeelsonError('INVALID_ARGUMENT', `path ${JSON.stringify(path)} leads out of the active mount at ${within.mountPoint}`);
			}
			try {
				openConfined({root: within.mountPoint, below}, O_PATH)[Symbol.dispose]();
			} catch (error) {
				// Whoever mounts it says so.
				if (!isKeelsonError(error, 'NOT_FOUND')) {
					throw error;
				}
			}
		}
	}
}
