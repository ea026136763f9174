import type {ImageChange, ImageInfo, ImageRecord, ImageStore} from '../../contracts/metadata/metadata.ts';
import {parseDescriptor, type Descriptor} from '../../contracts/oci/descriptor.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {nodeOf} from './collect/node.ts';
import {decodeLabels, encodeLabels, updatedMap} from './labels.ts';
import type {Change, Ledger, Owner} from './ledger.ts';

interface ImageRow {
	readonly name: string;
	readonly labels: string;
	readonly target: string;
	readonly created_at: number;
	readonly updated_at: number;
}

export class SqliteImageStore implements ImageStore {
	readonly #ledger: Ledger;
	readonly #owner: Owner;
	readonly #collect: () => Promise<unknown>;

	/** `collect` is what a synchronous delete waits for. */
	constructor(ledger: Ledger, owner: Owner, collect: () => Promise<unknown>) {
		this.#ledger = ledger;
		this.#owner = owner;
		this.#collect = collect;
	}

	async get(name: string): Promise<ImageInfo> {
		return this.#find(name);
	}

	async list(filters: readonly string[] = []): Promise<readonly ImageInfo[]> {
		const matches = compileFilters(filters);
		return this.#ledger.database.all<ImageRow>('SELECT * FROM image WHERE namespace = ? ORDER BY name', this.#owner.namespace)
			.map(row => infoOf(row))
			.filter(image => matches(path => imageField(image, path)));
	}

	async create(image: ImageRecord, {createdAt}: {readonly createdAt?: Date} = {}): Promise<ImageInfo> {
		checkImage(image);
		const {name, target, labels} = image;
		const {namespace} = this.#owner;
		return this.#ledger.change(change => {
			change.useNamespace(namespace);
			change.lease(this.#owner, 'images', name);
			const created = createdAt?.getTime() ?? change.now;
			const made = change.database.run(
				'INSERT OR IGNORE INTO image (namespace, name, labels, digest, target, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
				namespace, name, encodeLabels(labels), target.digest, JSON.stringify(target), created, created,
			);
			if (made === 0) {
				throw new KeelsonError('ALREADY_EXISTS', `image ${JSON.stringify(name)}: already exists`);
			}
			return this.#changed(change, name, 'create');
		});
	}

	async update(image: ImageChange, fields: readonly string[], {updatedAt}: {readonly updatedAt?: Date} = {}): Promise<ImageInfo> {
		const {name} = image;
		if (name === '') {
			throw new KeelsonError('INVALID_ARGUMENT', 'an image name must not be empty');
		}
		return this.#ledger.change(change => {
			const before = this.#find(name);
			const next = updatedImage(before, image, fields);
			checkImage(next);
			change.lease(this.#owner, 'images', name);
			change.database.run(
				'UPDATE image SET labels = ?, digest = ?, target = ?, updated_at = ? WHERE namespace = ? AND name = ?',
				encodeLabels(next.labels), next.target.digest, JSON.stringify(next.target), updatedAt?.getTime() ?? change.now, this.#owner.namespace, name,
			);
			if (next.target.digest !== before.target.digest) {
				change.loosen();
			}
			return this.#changed(change, name, 'update');
		});
	}

	async delete(name: string, {sync = false, target}: {readonly sync?: boolean; readonly target?: Descriptor} = {}): Promise<void> {
		const {namespace} = this.#owner;
		this.#ledger.change(change => {
			const image = this.#find(name);
			if (target !== undefined && target.digest !== image.target.digest) {
				throw new KeelsonError('NOT_FOUND', `image ${JSON.stringify(name)} has target ${image.target.digest}, not ${target.digest}: not found`);
			}
			change.database.run('DELETE FROM image WHERE namespace = ? AND name = ?', namespace, name);
			change.unlease(this.#owner, 'images', name);
			change.event(namespace, '/images/delete', 'containerd.services.images.v1.ImageDelete', {name});
			change.loosen();
		});
		if (sync) {
			await this.#collect();
		}
	}

	#changed(change: Change, name: string, verb: 'create' | 'update'): ImageInfo {
		const {namespace} = this.#owner;
		const image = this.#find(name);
		change.touch(nodeOf('image', namespace, name));
		if (verb === 'create') {
			change.event(namespace, '/images/create', 'containerd.services.images.v1.ImageCreate', {name, labels: image.labels});
		} else {
			change.event(namespace, '/images/update', 'containerd.services.images.v1.ImageUpdate', {name, labels: image.labels});
		}
		return image;
	}

	#find(name: string): ImageInfo {
		const row = this.#ledger.database.get<ImageRow>('SELECT * FROM image WHERE namespace = ? AND name = ?', this.#owner.namespace, name);
		if (row === undefined) {
			throw new KeelsonError('NOT_FOUND', `image ${JSON.stringify(name)}: not found`);
		}
		return infoOf(row);
	}
}

function updatedImage(before: ImageInfo, given: ImageChange, fields: readonly string[]): ImageRecord {
	let {labels, target} = before;
	for (const field of fields.length === 0 ? ['labels', 'target'] : fields) {
		const changedLabels = updatedMap('labels', labels, given.labels, field);
		const annotations = updatedMap('annotations', target.annotations ?? {}, given.target?.annotations ?? {}, field);
		if (changedLabels !== undefined) {
			labels = changedLabels;
		} else if (annotations !== undefined) {
			target = {...target, annotations};
		} else if (field === 'target' && given.target !== undefined) {
			target = given.target;
		} else {
			throw new KeelsonError('INVALID_ARGUMENT', `cannot update field ${JSON.stringify(field)} of image ${JSON.stringify(before.name)}: expected labels, target or annotations`);
		}
	}
	return {name: before.name, labels, target};
}

function checkImage({name, target}: ImageRecord): void {
	if (name === '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'an image name must not be empty');
	}
	parseDescriptor(target, `target of image ${JSON.stringify(name)}`);
	if (target.mediaType === '' || target.size === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', `target of image ${JSON.stringify(name)} has media type ${JSON.stringify(target.mediaType)} and ${target.size} bytes, both must be given`);
	}
}

function imageField({name, target, labels}: ImageInfo, [field, key = '']: readonly string[]): string | undefined {
	switch (field) {
		case 'name': {
			return name;
		}
		case 'target': {
			return key === 'digest' ? target.digest : key === 'mediatype' ? target.mediaType : undefined;
		}
		case 'labels': {
			return Object.hasOwn(labels, key) ? labels[key] : undefined;
		}
		case 'annotations': {
			return target.annotations?.[key];
		}
		case undefined:
		default: {
			return undefined;
		}
	}
}

function infoOf({name, labels, target, created_at, updated_at}: ImageRow): ImageInfo {
	return {
		name,
		labels: decodeLabels(labels),
		target: JSON.parse(target) as Descriptor,
		createdAt: new Date(created_at),
		updatedAt: new Date(updated_at),
	};
}
