import {mkdir, mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';
import {mountMapped, openUserNamespace, type IdMaps} from './id-map.ts';
import {finishBind, performMount, UMOUNT, unmountAll, type MountDescription} from './mount.ts';
import {joinLayers, splitLayers} from './overlay-mount.ts';

const lowerKey = 'lowerdir=';

/**
 * Mounts `description`, whose options have no maps any more, at `target` with other owners: of an overlay each lower layer is mapped, its upper
 * directory is not; what is bound is mapped itself. Rejects with UNIMPLEMENTED for other types. After a failure nothing is left.
 */
export async function performMapped(description: MountDescription, target: string, maps: IdMaps): Promise<void> {
	using namespace = await openUserNamespace(maps);
	if (description.type === 'overlay') {
		await using layers = await mapLayers(description.options, namespace.fd);
		await performMount({...description, target: '', options: layers.options}, target);
		return;
	}
	if (!description.options.some(option => option === 'bind' || option === 'rbind')) {
		throw new KeelsonError('UNIMPLEMENTED', `a mount of type ${description.type} at ${target} cannot have other owners: only overlays and binds can`);
	}
	mountMapped(description.source, target, namespace.fd);
	try {
		await finishBind(description, target);
	} catch (error) {
		await unmountAll(target, UMOUNT.DETACH);
		throw error;
	}
}

/** Options whose lower layers are mapped, as long as it takes to mount them: an overlay keeps what it was mounted of. */
async function mapLayers(options: readonly string[], namespace: number): Promise<AsyncDisposable & {readonly options: readonly string[]}> {
	await using half = new AsyncDisposableStack();
	const folder = await mkdtemp(path.join(tmpdir(), 'keelson-mapped-'));
	half.defer(async () => rmdir(folder));
	const mapped: string[] = [];
	const map = async (layer: string): Promise<string> => {
		const place = path.join(folder, String(mapped.length));
		await mkdir(place);
		half.defer(async () => rmdir(place));
		mountMapped(layer, place, namespace);
		half.defer(async () => unmountAll(place, UMOUNT.DETACH));
		mapped.push(place);
		return place;
	};
	const changed: string[] = [];
	for (const option of options) {
		if (option.startsWith(lowerKey)) {
			const layers: string[] = [];
			for (const layer of splitLayers(option.slice(lowerKey.length))) {
				layers.push(await map(layer));
			}
			changed.push(`${lowerKey}${joinLayers(layers)}`);
		} else {
			changed.push(option);
		}
	}
	const held = half.move();
	return {options: changed, [Symbol.asyncDispose]: async () => held.disposeAsync()};
}
