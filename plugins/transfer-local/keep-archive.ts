import {randomUUID} from 'node:crypto';
import path from 'node:path';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isDigest, type Digest} from '../../contracts/oci/digest.ts';
import type {ImportEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {readArchive, type ArchiveEntry} from './archive-reader.ts';
import {documentBytesMax, refKey} from './manifest.ts';
import type {Job} from './transfer.ts';

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
			links.set(entry.name, path.posix.join(path.posix.dirname(entry.name), entry.target));
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
async function keepFile(job: Job, entry: ArchiveEntry): Promise<Digest> {
	const [, algorithm, hex] = /^blobs\/([^/]+)\/([^/]+)$/.exec(entry.name) ?? [];
	const named = `${algorithm}:${hex}`;
	const expected = algorithm !== undefined && isDigest(named) ? named : undefined;
	const {content} = job.scope;
	const ref = expected === undefined ? `import-${randomUUID()}` : refKey({mediaType: '', digest: expected, size: entry.size} satisfies Descriptor);
	try {
		await using writer = await content.writer({ref, signal: job.request.signal, ...(expected === undefined ? {} : {expected})});
		await writer.truncate(0);
		for await (const chunk of entry.bytes) {
			await writer.write(chunk);
		}
		return await writer.commit(expected === undefined ? {size: entry.size} : {size: entry.size, expected});
	} catch (error) {
		const present = isKeelsonError(error, 'ALREADY_EXISTS') ? expected ?? digestIn(error.message) : undefined;
		if (present === undefined) {
			throw error;
		}
		return present;
	}
}

/** A commit that found the blob there already says which it was. */
function digestIn(message: string): Digest | undefined {
	const [found = ''] = /sha256:[0-9a-f]{64}/.exec(message) ?? [];
	return isDigest(found) ? found : undefined;
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
