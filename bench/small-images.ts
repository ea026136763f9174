import {randomBytes} from 'node:crypto';
import {image, layer, pushImage, type Layer} from '../test/helpers/oci-image.ts';
import type {Registry} from '../test/helpers/registry.ts';
import {tar, type TarEntry} from '../test/helpers/tar-writer.ts';

const LAYERS = 40;
const FILES = 150;
const FILE_BYTES = 8192;

/** Forty layers of 150 files, some 1.2 MB each. */
export async function pushManyLayers(registry: Registry): Promise<string> {
	return pushImage(registry, 'many', 'layers', image(Array.from({length: LAYERS}, (_, at) => layer(tar(filesOf(`layer-${at}`, FILES))))));
}

/** Four images: six layers that they share, two of each one's own, some 8 MB each. */
export async function pushRelatives(registry: Registry): Promise<readonly string[]> {
	const make = (name: string): Layer => layer(tar(filesOf(name, 1000)));
	const shared = Array.from({length: 6}, (_, at) => make(`shared-${at}`));
	const references: string[] = [];
	for (const name of ['one', 'two', 'three', 'four']) {
		// One after another in one repository: docker-registry refuses a blob that is uploaded twice at once.
		references.push(await pushImage(registry, 'relatives', name, image([...shared, make(`${name}-a`), make(`${name}-b`)])));
	}
	return references;
}

function filesOf(directory: string, count: number): TarEntry[] {
	return [{name: `${directory}/`, type: 'directory'}, ...Array.from({length: count}, (_, at): TarEntry => ({name: `${directory}/file-${at}`, body: randomBytes(FILE_BYTES)}))];
}
