import {open} from 'node:fs/promises';
import {Growth} from '../../contracts/content/growth.ts';
import type {ApartLayer, AppliedLayer, ApplyOptions, ComparedLayer, CompareOptions, Differ, LayerBytes} from '../../contracts/diff/diff.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {syncFileSystem} from '../../lib/sys/file-system.ts';
import {findApart, findTarget, type ApplyTarget} from './apply-target.ts';
import type {CompareSource} from './compare-job.ts';
import {ComparedBytes} from './compared-bytes.ts';
import {boundDirectory, findUpper, layersOf, toReadOnly} from './compare-source.ts';
import {chooseSide, type Libraries} from './decompressor.ts';
import type {Inflater} from './inflate.ts';
import {compressionOf} from './layer-compression.ts';
import type {ImpliedDirectory} from './later-layers.ts';
import {openLayer, type LayerInput} from './layer-input.ts';
import {mountTree} from './mounted-tree.ts';
import {processLayer} from './processed-layer.ts';
import {chainFrom, type ProcessorChain, type StreamProcessor} from './processor-chain.ts';
import type {WorkerPool} from './worker-pool.ts';
import {openWorkerOutput} from './worker-output.ts';

export interface TarDifferOptions {
	readonly pool: WorkerPool;
	/** Trees that have to be mounted are mounted in directories of their own in here. */
	readonly mountDirectory: string;
	readonly libraries: Libraries;
	/** Told of each layer that was compressed. */
	readonly inflated?: (by: Inflater) => void;
	readonly cores: number;
	/** Programs that read what is no layer yet. */
	readonly processors: readonly StreamProcessor[];
	/** The upper directory of an overlay may stand for the difference; false where the kernel makes them refer to other layers. */
	readonly isUpperWhole: boolean;
}

interface ApplyDetails {
	readonly chain: ProcessorChain;
	readonly options: ApplyOptions;
}

/** Layers as tars: applied and compared in worker threads, where files are handled with synchronous calls. */
export class TarDiffer implements Differ {
	readonly #options: TarDifferOptions;

	constructor(options: TarDifferOptions) {
		this.#options = options;
	}

	async apply(layer: LayerBytes, mounts: readonly Mount[], options: ApplyOptions = {}): Promise<AppliedLayer> {
		options.signal?.throwIfAborted();
		const chain = chainFrom(layer.descriptor.mediaType, this.#options.processors);
		const target = findTarget(mounts);
		if (target !== undefined) {
			return (await this.#applyTo(layer, target, {chain, options})).applied;
		}
		await using tree = await mountTree(mounts, this.#options.mountDirectory);
		return (await this.#applyTo(layer, {kind: 'merged', root: tree.path}, {chain, options})).applied;
	}

	async applyApart(layer: LayerBytes, mounts: readonly Mount[], options: ApplyOptions = {}): Promise<ApartLayer> {
		options.signal?.throwIfAborted();
		const chain = chainFrom(layer.descriptor.mediaType, this.#options.processors);
		const target = findApart(mounts);
		const {applied, implied} = await this.#applyTo(layer, target, {chain, options});
		return {
			...applied,
			needsJoin: implied.length > 0,
			join: async (below, own) => {
				const lower = layersOf(below);
				if (lower === undefined) {
					throw new KeelsonError('ABORTED', 'a layer that was applied apart can be joined with directories alone');
				}
				await this.#options.pool.run({kind: 'join', root: target.root, opaque: target.opaque, lower, implied}, {signal: own});
			},
		};
	}

	async compare(lower: readonly Mount[], upper: readonly Mount[], {mediaType = mediaTypes.ociLayerGzip, sourceDateEpoch, signal}: CompareOptions = {}): Promise<ComparedLayer> {
		signal?.throwIfAborted();
		const named = compressionOf(mediaType);
		const compression = named === 'unknown' ? 'none' : named;
		await using resources = new AsyncDisposableStack();
		const source = await this.#findSource(lower, upper, resources);
		const {stop, ended, writer, socket} = openWorkerOutput(signal);
		const held = resources.move();
		const work = this.#options.pool.run({
			kind: 'compare', source, compression, output: writer,
			latestNs: sourceDateEpoch === undefined ? undefined : BigInt(sourceDateEpoch.getTime()) * 1_000_000n,
		}, {signal: ended});
		const diffId = digestOf(work, held);
		// Nobody has to ask for it.
		diffId.catch(() => undefined);
		return {mediaType, bytes: new ComparedBytes(socket, diffId, stop), diffId};
	}

	async #applyTo(layer: LayerBytes, target: ApplyTarget, {chain, options: {signal, progress, payloads, syncFs = false}}: ApplyDetails): Promise<{readonly applied: AppliedLayer; readonly implied: readonly ImpliedDirectory[]}> {
		const {pool, libraries, cores, inflated} = this.#options;
		const stop = new AbortController();
		const ended = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
		await using processed = await processLayer(layer, chain, {payloads, signal: ended});
		const {input, growth, compression, done} = await this.#open(processed.layer, ended);
		// The worker would only see that the layer is cut short.
		const source = done.catch((error: unknown) => stop.abort(error));
		const isComing = growth !== undefined && !new Growth(growth).isWhole;
		const inflation = {libraries, side: chooseSide({cores, layers: pool.jobs + 1, isComing})};
		try {
			const {sha256, size, inflatedBy, implied} = await pool.run({kind: 'apply', input, growth, compression, inflation, target}, {signal: ended, progress});
			if (inflatedBy !== undefined) {
				inflated?.(inflatedBy);
			}
			await source;
			// What was read may be a whole archive although its source failed at the end.
			ended.throwIfAborted();
			if (syncFs) {
				await using handle = await open(target.root);
				await syncFileSystem(handle.fd);
			}
			return {applied: {mediaType: mediaTypes.ociLayer, digest: parseDigest(`sha256:${sha256}`), size}, implied};
		} finally {
			stop.abort(new KeelsonError('CANCELLED', 'the layer is not read any more'));
			await source;
		}
	}

	/** The thread that will read it starts while its first bytes are waited for. */
	async #open(layer: LayerBytes, signal: AbortSignal): Promise<LayerInput> {
		using _ = this.#options.pool.expect();
		return await openLayer(layer, signal);
	}

	async #findSource(lower: readonly Mount[], upper: readonly Mount[], resources: AsyncDisposableStack): Promise<CompareSource> {
		const direct = this.#options.isUpperWhole ? findUpper(lower, upper) : undefined;
		if (direct !== undefined) {
			return {kind: 'upper', ...direct};
		}
		const directoryOf = async (mounts: readonly Mount[]): Promise<string> =>
			boundDirectory(mounts) ?? resources.use(await mountTree(toReadOnly(mounts), this.#options.mountDirectory)).path;
		return {kind: 'trees', lower: lower.length === 0 ? undefined : await directoryOf(lower), upper: await directoryOf(upper)};
	}
}

/** The mounts are needed no longer than the work lasts. */
async function digestOf(work: Promise<{readonly sha256: string}>, mounts: AsyncDisposable): Promise<Digest> {
	await using _mounts = mounts;
	return parseDigest(`sha256:${(await work).sha256}`);
}
