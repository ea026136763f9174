import {mkdir, mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {mountMapped} from './id-map.ts';
import {joinLayers, splitLayers} from './overlay-mount.ts';

const lowerKey = 'lowerdir=';

/**
 * An overlay's options with each lower layer mounted with other owners, as the maps of a user namespace say; until disposed, since an overlay keeps
 * what it was mounted of. `unmount` takes such a layer away again.
 */
export async function mapLayers(options: readonly string[], namespace: number, unmount: (layer: string) => Promise<void>): Promise<AsyncDisposable & {readonly options: readonly string[]}> {
	await using half = new AsyncDisposableStack();
	const folder = await mkdtemp(path.join(tmpdir(), 'keelson-mapped-'));
	half.defer(async () => rmdir(folder));
	let count = 0;
	const map = async (layer: string): Promise<string> => {
		const place = path.join(folder, String(count++));
		await mkdir(place);
		half.defer(async () => rmdir(place));
		mountMapped(layer, place, namespace);
		half.defer(async () => unmount(place));
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
