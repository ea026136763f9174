import type {CopyOptions, CopyPlace, TreeCopy} from '../../contracts/copy/copy.ts';
import type {LayerBytes} from '../../contracts/diff/diff.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {ComparedBytes} from './compared-bytes.ts';
import {boundDirectory, toReadOnly} from './compare-source.ts';
import type {Libraries} from './decompressor.ts';
import {openLayer} from './layer-input.ts';
import {mountTree} from './mounted-tree.ts';
import type {WorkerPool} from './worker-pool.ts';
import {openWorkerOutput} from './worker-output.ts';

export interface TarTreeCopyOptions {
	/** Not that of layers: a client that is slow, or a container's file system that hangs, must hold up no pull. */
	readonly pool: WorkerPool;
	/** Trees that have to be mounted are mounted in directories of their own in here. */
	readonly mountDirectory: string;
	readonly libraries: Libraries;
}

/** Parts of trees as tars, read and written in worker threads with synchronous calls. */
export class TarTreeCopy implements TreeCopy {
	readonly #options: TarTreeCopyOptions;

	constructor(options: TarTreeCopyOptions) {
		this.#options = options;
	}

	async pack({tree, path, ids}: CopyPlace, {walks = true, keepsOwners = false, signal}: CopyOptions & {readonly walks?: boolean} = {}): Promise<AsyncIterable<Uint8Array>> {
		signal?.throwIfAborted();
		await using resources = new AsyncDisposableStack();
		const root = await this.#open(tree, {resources, isWritten: false});
		const {stop, ended, writer, socket} = openWorkerOutput(signal);
		const held = resources.move();
		const work = (async () => {
			await using _tree = held;
			await this.#options.pool.run({kind: 'pack', root, path, walks, owners: {keepsOwners, ids}, output: writer}, {signal: ended});
		})();
		work.catch(() => undefined);
		const bytes = new ComparedBytes(socket, work, stop);
		// The first bytes say that there is such a path.
		const first = await bytes.next();
		return first.done === true ? bytes : beginning(first.value, bytes);
	}

	async unpack(bytes: AsyncIterable<Uint8Array>, {tree, path, ids}: CopyPlace, {keepsOwners = false, signal}: CopyOptions = {}): Promise<void> {
		signal?.throwIfAborted();
		await using resources = new AsyncDisposableStack();
		const root = await this.#open(tree, {resources, isWritten: true});
		const stop = new AbortController();
		const ended = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
		const {input, compression, done} = await openLayer(asLayer(bytes), ended);
		if (typeof input === 'string') {
			throw new KeelsonError('INTERNAL', 'an archive that comes has no file');
		}
		// The worker would only see that the archive is cut short.
		const source = done.catch((error: unknown) => stop.abort(error));
		try {
			await this.#options.pool.run({kind: 'unpack', input, compression, inflation: {libraries: this.#options.libraries, side: 'within'}, root, path, owners: {keepsOwners, ids}}, {signal: ended});
			await source;
			ended.throwIfAborted();
		} finally {
			stop.abort(new KeelsonError('CANCELLED', 'the archive is not read any more'));
			await source;
		}
	}

	async #open(tree: CopyPlace['tree'], {resources, isWritten}: {readonly resources: AsyncDisposableStack; readonly isWritten: boolean}): Promise<string> {
		if ('root' in tree) {
			return tree.root;
		}
		const bound = boundDirectory(tree.mounts);
		if (bound !== undefined) {
			if (isWritten && tree.mounts[0]?.options.includes('ro') === true) {
				throw new KeelsonError('FAILED_PRECONDITION', `cannot copy into ${bound}: it is read-only`);
			}
			return bound;
		}
		return resources.use(await mountTree(isWritten ? tree.mounts : toReadOnly(tree.mounts), this.#options.mountDirectory)).path;
	}
}

async function * beginning(first: Uint8Array, rest: ComparedBytes): AsyncGenerator<Uint8Array, void, undefined> {
	try {
		yield first;
		yield * rest;
	} finally {
		await rest.return();
	}
}

function asLayer(bytes: AsyncIterable<Uint8Array>): LayerBytes {
	// Of an old type, which says nothing of a compression: the bytes do.
	return {descriptor: {mediaType: mediaTypes.ociLayer, digest: `sha256:${'0'.repeat(64)}`, size: 0}, read: () => bytes};
}
