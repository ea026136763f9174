import {closeSync, openSync, readFileSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {TarReader} from '../../lib/tar/tar-reader.ts';
import type {ApplyTarget} from './apply-target.ts';
import type {Inflation} from './decompressor.ts';
import {DirectoryHandles} from './directory-handles.ts';
import {inflateHashed, type Inflater} from './inflate.ts';
import {LaterLayers, type ImpliedDirectory} from './later-layers.ts';
import type {Compression} from './layer-compression.ts';
import {LayerSource, type WaitControl} from './layer-source.ts';
import {LowerLayers} from './lower-layers.ts';
import {MergedRules} from './merged-rules.ts';
import {OverlayRules} from './overlay-rules.ts';
import {TreeWriter} from './tree-writer.ts';
import type {TreeRules} from './tree-rules.ts';

/** A layer to apply, as it is sent to a worker. */
export interface ApplyJob {
	readonly kind: 'apply';
	/** A path, or a descriptor that is the worker's to close. */
	readonly input: string | number;
	/** Of a file that is still written; see Growth. */
	readonly growth: SharedArrayBuffer | undefined;
	readonly compression: Compression;
	readonly inflation: Inflation;
	readonly target: ApplyTarget;
}

export interface ApplyJobResult {
	/** Hex of the tar's sha256. */
	readonly sha256: string;
	/** Bytes of the tar. */
	readonly size: number;
	/** Undefined where it is not compressed. */
	readonly inflatedBy: Inflater | undefined;
	/** Directories that await the layers below; none where those were known. */
	readonly implied: readonly ImpliedDirectory[];
}

/** What a job is told and asked meanwhile. */
export interface JobControl extends WaitControl {
	readonly progress: (bytes: number) => void;
}

/** Applies a layer with synchronous calls: for a worker. Rejects as Differ.apply does. */
export async function runApply({input, growth, compression, inflation, target}: ApplyJob, control: JobControl): Promise<ApplyJobResult> {
	const {check, progress} = control;
	const fd = typeof input === 'number' ? input : openSync(input, 'r');
	try {
		check();
		using tree = openTree(target);
		const reader = new TarReader(tree.writer);
		let size = 0;
		const {by: inflatedBy, sha256} = await inflateHashed(new LayerSource(fd, growth, control), {compression, inflation}, bytes => {
			check();
			size += bytes.length;
			reader.push(bytes);
			progress(size);
		});
		check();
		reader.end();
		tree.writer.finish();
		return {sha256, size, inflatedBy, implied: tree.implied()};
	} catch (error) {
		throw toApplyError(error);
	} finally {
		closeSync(fd);
	}
}

function openTree(target: ApplyTarget): {readonly writer: TreeWriter; readonly implied: () => readonly ImpliedDirectory[]} & Disposable {
	const resources = new DisposableStack();
	try {
		// Tied in a knot: rules need handles, and handles tell rules of directories that an archive implies.
		let rules: TreeRules | undefined;
		const handles = resources.use(new DirectoryHandles(target.root, (path, fd) => {
			rules?.implied(path, fd);
			if (target.kind === 'merged' || target.lower !== undefined) {
				writer.distrustNewFiles();
			}
		}));
		const later = new LaterLayers();
		rules = target.kind === 'merged' ? new MergedRules(handles) : new OverlayRules({
			handles,
			opaque: target.opaque,
			lower: target.lower === undefined ? later : resources.use(new LowerLayers(target.lower, target.opaque)),
			keepTime: (path, mtimeNs) => writer.keepTime(path, mtimeNs),
		});
		const writer = resources.use(new TreeWriter({handles, rules, isInUserNamespace: isInUserNamespace()}));
		return {writer, implied: () => later.implied, [Symbol.dispose]: () => resources.dispose()};
	} catch (error) {
		resources.dispose();
		throw error;
	}
}

export function isInUserNamespace(): boolean {
	return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));
}

// What the archive's own names and links bring about is its fault; a full disk is nobody's.
function toApplyError(error: unknown): unknown {
	const errno = errnoOf(error) ?? '';
	if (['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM'].includes(errno)) {
		return new KeelsonError('RESOURCE_EXHAUSTED', `cannot apply a layer: ${messageOf(error)}`, {cause: error});
	}
	const isOfArchive = ['ENAMETOOLONG', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ELOOP', 'ERANGE', 'E2BIG', 'EFBIG', 'EMLINK', 'EINVAL', 'EPERM', 'ENOENT'].includes(errno);
	if (isOfArchive || (error instanceof KeelsonError && error.code === 'NOT_FOUND')) {
		return new KeelsonError('INVALID_ARGUMENT', `cannot apply a layer: ${messageOf(error)}`, {cause: error});
	}
	return error;
}

function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
