import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {ExecutionContext} from 'ava';
import {performMounts, UMOUNT, unmountAll} from '../../lib/sys/mount.ts';
import {encodeTarHeader, endMark, padding, type WrittenEntry} from '../../lib/tar/tar-writer.ts';
import {parseDigest} from '../oci/digest.ts';
import {mediaTypes} from '../oci/media-type.ts';
import type {Mount} from '../oci/mount.ts';
import type {Differ, LayerBytes} from './diff.ts';

/** `test` of ava, or `test.serial`, where a differ for each test at once is too much for a machine. */
export type SuiteTest = (title: string, body: (t: ExecutionContext) => Promise<void>) => void;

export interface DifferSubject {
	readonly name: string;
	/** A fresh differ on this machine, where it may mount as root; disposed when the test ends. */
	readonly create: () => Promise<Differ & AsyncDisposable>;
}

/** Directories of a test, and what is mounted of them; all is gone when it is disposed. */
export class Workplace implements AsyncDisposable {
	readonly directory: string;
	#lastMount = 0;

	private constructor(directory: string) {
		this.directory = directory;
	}

	static async open(): Promise<Workplace> {
		return new Workplace(await mkdtemp(path.join(tmpdir(), 'keelson-diff-suite-')));
	}

	async make(name: string): Promise<string> {
		await mkdir(path.join(this.directory, name), {recursive: true});
		return path.join(this.directory, name);
	}

	at(name: string): string {
		return path.join(this.directory, name);
	}

	async bind(name: string): Promise<readonly Mount[]> {
		return [{type: 'bind', source: await this.make(name), target: '', options: ['rw', 'rbind']}];
	}

	/** An overlay with an upper directory; lower layers, the nearest first. */
	async overlay(upper: string, ...lower: readonly string[]): Promise<readonly Mount[]> {
		const layers = await Promise.all(lower.map(name => this.make(name)));
		return [{type: 'overlay', source: 'overlay', target: '', options: [`workdir=${await this.make(`${upper}.work`)}`, `upperdir=${await this.make(upper)}`, `lowerdir=${layers.join(':')}`, 'index=off']}];
	}

	async mounted<T>(mounts: readonly Mount[], work: (root: string) => T): Promise<Awaited<T>> {
		const root = await this.make(`mounted-${++this.#lastMount}`);
		await performMounts(mounts, root);
		try {
			return await work(root);
		} finally {
			await unmountAll(root, UMOUNT.DETACH);
		}
	}

	/** A layer that lies in a file. */
	async file(bytes: Uint8Array, mediaType?: string): Promise<LayerBytes> {
		const file = this.at(`layer-${++this.#lastMount}`);
		await writeFile(file, bytes);
		return {...layerOf(bytes, mediaType), file};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(this.directory, {recursive: true, force: true});
	}
}

/** A layer that is read in pieces of this size. */
export function layerOf(bytes: Uint8Array, mediaType: string = mediaTypes.ociLayer, pieceBytes = 10_000): LayerBytes {
	return {
		descriptor: {mediaType, digest: parseDigest(`sha256:${sha256(bytes)}`), size: bytes.length},
		async * read() {
			for (let at = 0; at < bytes.length; at += pieceBytes) {
				yield bytes.subarray(at, at + pieceBytes);
			}
		},
	};
}

export type SuiteEntry = Partial<Omit<WrittenEntry, 'name' | 'linkName'>> & {readonly name: string; readonly linkName?: string; readonly body?: string | Uint8Array};

export function tarOf(entries: readonly SuiteEntry[], end: Uint8Array = endMark): Buffer {
	return Buffer.concat([...entries.flatMap(({name, linkName = '', body = '', ...entry}) => {
		const bytes = Buffer.from(body);
		const type = entry.type ?? (name.endsWith('/') ? 'directory' : 'file');
		return [encodeTarHeader({
			mode: type === 'directory' ? 0o755 : 0o644, uid: 0, gid: 0, mtimeNs: 1_700_000_000_000_000_000n, device: {major: 0, minor: 0}, attributes: [],
			...entry, type, name: Buffer.from(name), linkName: Buffer.from(linkName), size: bytes.length,
		}), bytes, padding(bytes.length)];
	}), end]);
}

export function sha256(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('hex');
}
