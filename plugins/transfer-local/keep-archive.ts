import {isDigest, type Digest} from '../../contracts/oci/digest.ts';
import type {ImportEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {readArchive, type ArchiveEntry} from './archive-reader.ts';
import type {Job} from './job.ts';
import {keepBytes} from './keep-bytes.ts';
import {documentBytesMax} from './manifest.ts';

/** What an archive held: its table of contents, and everything else in the content store. */
export interface KeptArchive {
	/** `index.json` of an OCI layout. */
	readonly index?: Buffer;
	/** `manifest.json` of a docker-archive. */
	readonly manifest?: Buffer;
	/** Files that are not named by digest (`<id>/layer.tar`), and links to them, by name. */
	readonly files: ReadonlyMap<string, {readonly digest: Digest; readonly size: number}>;
}

const LINK_HOPS_MAX = 5;

/** Keeps every file of an archive as a blob, in the order of the archive. Blobs named by digest are verified. */
export async function keepArchive(job: Job, {bytes}: ImportEnd): Promise<KeptArchive> {
	const {signal} = job.request;
	const files = new Map<string, {digest: Digest; size: number}>();
	const links = new Map<string, string>();
	let index: Buffer | undefined;
	let manifest: Buffer | undefined;
	for await (const entry of readArchive(bytes, signal)) {
		if (entry.kind === 'link') {
			links.set(entry.name, entry.target);
		} else if (entry.name === 'index.json') {
			index = await readSmall(entry);
		} else if (entry.name === 'manifest.json') {
			manifest = await readSmall(entry);
		} else if (entry.name === 'oci-layout') {
			checkLayout(await readSmall(entry));
		} else if (entry.name !== 'repositories' && !entry.name.endsWith('/VERSION')) {
			files.set(entry.name, {digest: await keepFile(job, entry), size: entry.size});
		}
	}
	for (const name of links.keys()) {
		const found = follow(name, links, files);
		if (found !== undefined) {
			files.set(name, found);
		}
	}
	return {files, ...(index === undefined ? {} : {index}), ...(manifest === undefined ? {} : {manifest})};
}

/** A blob's name is its digest, and is held to it; any other file gets the digest that it has. */
async function keepFile(job: Job, {name, size, bytes}: ArchiveEntry): Promise<Digest> {
	const [, algorithm, hex] = /^blobs\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
	const named = `${algorithm}:${hex}`;
	return keepBytes(job, bytes, {size, ...(isDigest(named) ? {expected: named} : {})});
}

function follow(name: string, links: ReadonlyMap<string, string>, files: ReadonlyMap<string, {digest: Digest; size: number}>): {digest: Digest; size: number} | undefined {
	let at: string | undefined = name;
	for (let hops = 0; hops < LINK_HOPS_MAX && at !== undefined; hops++) {
		const file = files.get(at);
		if (file !== undefined) {
			return file;
		}
		at = links.get(at);
	}
	return undefined;
}

async function readSmall({name, size, bytes}: ArchiveEntry): Promise<Buffer> {
	if (size > documentBytesMax) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `${name} in the archive has ${size} bytes, at most ${documentBytesMax} are read`);
	}
	return Buffer.concat(await Array.fromAsync(bytes));
}

function checkLayout(bytes: Buffer): void {
	if (!bytes.toString('utf8').includes('"1.0.0"')) {
		throw new KeelsonError('INVALID_ARGUMENT', `oci-layout of the archive is ${JSON.stringify(bytes.subarray(0, 100).toString('utf8'))}, expected imageLayoutVersion 1.0.0`);
	}
}
