import {closeSync, fchownSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import type {TarEntry, TarSink} from '../../lib/tar/tar-entry.ts';
import {TarReader} from '../../lib/tar/tar-reader.ts';
import {isInUserNamespace, type JobControl} from './apply-job.ts';
import {ownerOutside, type CopyOwners} from './copy-owners.ts';
import {findDirectory} from './copy-place.ts';
import type {Inflation} from './decompressor.ts';
import {DirectoryHandles} from './directory-handles.ts';
import {entryPath, joinPath, toBytes} from './entry-path.ts';
import {inflate} from './inflate.ts';
import type {Compression} from './layer-compression.ts';
import {LayerSource} from './layer-source.ts';
import type {TreeRules} from './tree-rules.ts';
import {TreeWriter} from './tree-writer.ts';

/** An archive to unpack, as it is sent to a worker. */
export interface UnpackJob {
	readonly kind: 'unpack';
	/** A descriptor that is the worker's to close. */
	readonly input: number;
	readonly compression: Compression;
	readonly inflation: Inflation;
	readonly root: string;
	readonly path: string;
	readonly owners: CopyOwners;
}

/** Makes files of a tar with synchronous calls: for a worker. Rejects as TreeCopy.unpack does. */
export async function runUnpack(job: UnpackJob, control: JobControl): Promise<void> {
	try {
		control.check();
		await unpackInto(findDirectory(job.root, job.path), job, control);
	} finally {
		closeSync(job.input);
	}
}

async function unpackInto(place: string, {input, compression, inflation, root, owners}: UnpackJob, control: JobControl): Promise<void> {
	try {
		const ofRoot = ownerOutside({...owners, keepsOwners: false}, {uid: 0, gid: 0});
		using handles = new DirectoryHandles(root, (_path, fd) => fchownSync(fd, ofRoot.uid, ofRoot.gid));
		using writer = new TreeWriter({handles, rules: noRules, isInUserNamespace: isInUserNamespace(), isCopy: true});
		const reader = new TarReader(new PlacedEntries(writer, place, owners));
		await inflate(new LayerSource(input, undefined, control), {compression, inflation}, bytes => {
			control.check();
			reader.push(bytes);
		});
		reader.end();
		writer.finish();
	} catch (error) {
		throw toUnpackError(error);
	}
}

/** Puts what an archive has below a directory, and gives it the owners that it shall have there. */
class PlacedEntries implements TarSink {
	readonly #writer: TreeWriter;
	readonly #place: string;
	readonly #owners: CopyOwners;

	constructor(writer: TreeWriter, place: string, owners: CopyOwners) {
		this.#writer = writer;
		this.#place = place;
		this.#owners = owners;
	}

	entry(entry: TarEntry): void {
		const {parent, base} = entryPath(entry.name, 'tar entry');
		// The directory itself is there already, and stays as it is.
		if (base !== '') {
			this.#writer.entry({
				...entry, ...ownerOutside(this.#owners, entry), name: this.#placed(joinPath(parent, base)),
				...(entry.type === 'link' ? {linkName: this.#target(entry.linkName)} : {}),
			});
		}
	}

	data(bytes: Buffer, offset: number): void {
		this.#writer.data(bytes, offset);
	}

	entryEnd(): void {
		this.#writer.entryEnd();
	}

	#target(linkName: Buffer): Buffer {
		const {parent, base} = entryPath(linkName, 'hard link target');
		return this.#placed(joinPath(parent, base));
	}

	#placed(path: string): Buffer {
		return toBytes(joinPath(this.#place, path));
	}
}

/** No layer: nothing is hidden, and what is not there is not there. */
const noRules: TreeRules = {
	makeOpaque: () => undefined, hide: () => undefined, made: () => undefined, implied: () => undefined, bring: () => false,
};

function toUnpackError(error: unknown): unknown {
	const errno = errnoOf(error) ?? '';
	const message = `cannot copy: ${error instanceof Error ? error.message : String(error)}`;
	if (['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM'].includes(errno)) {
		return new KeelsonError('RESOURCE_EXHAUSTED', message, {cause: error});
	}
	if (['EROFS', 'EBUSY', 'ETXTBSY', 'EPERM'].includes(errno)) {
		return new KeelsonError('FAILED_PRECONDITION', message, {cause: error});
	}
	if (['ENAMETOOLONG', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ELOOP', 'ERANGE', 'E2BIG', 'EFBIG', 'EMLINK', 'EINVAL', 'ENOENT'].includes(errno)) {
		return new KeelsonError('INVALID_ARGUMENT', message, {cause: error});
	}
	// A hard link to what is not there.
	return error instanceof KeelsonError && error.code === 'NOT_FOUND' ? new KeelsonError('INVALID_ARGUMENT', message, {cause: error}) : error;
}
