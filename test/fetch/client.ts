import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {ExecutionContext} from 'ava';
import type {PushTarget} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {HttpClient} from '../../plugins/fetch-oci/http-client.ts';
import {OciRegistry} from '../../plugins/fetch-oci/registry.ts';

type Parts = Omit<ConstructorParameters<typeof OciRegistry>[0], 'http'>;

/** A registry client with connections of its own. */
export function clientOf(parts: Partial<Parts> & {readonly stallTimeoutMs?: number; readonly environment?: Readonly<Record<string, string>>} = {}): OciRegistry & AsyncDisposable {
	const {stallTimeoutMs = 5000, environment = {}, ...others} = parts;
	const http = new HttpClient({stallTimeoutMs, environment, userAgent: 'keelson/test'});
	return Object.assign(new OciRegistry({http, hostDirectories: [], trustedRealms: [], ...others}), {[Symbol.asyncDispose]: async () => http[Symbol.asyncDispose]()});
}

export function digestOf(bytes: Uint8Array): Digest {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function descriptorOf(bytes: Uint8Array, mediaType: string = mediaTypes.ociLayerGzip): Descriptor {
	return {mediaType, digest: digestOf(bytes), size: bytes.length};
}

export async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
	// A chunk is valid until the next is asked for.
	return Buffer.concat(await Array.fromAsync(bytes, chunk => Buffer.from(chunk)));
}

/** Sends bytes in pieces, unless they are there. */
export async function pushBytes(target: PushTarget, descriptor: Descriptor, bytes: Uint8Array, options: Parameters<PushTarget['push']>[1] = {}): Promise<boolean> {
	await using writer = await target.push(descriptor, options);
	if (writer === undefined) {
		return false;
	}
	for (let at = 0; at < bytes.length; at += 1024 * 1024) {
		await writer.write(bytes.subarray(at, at + 1024 * 1024));
	}
	await writer.commit();
	return true;
}

/** A config, one layer and the manifest that names both, pushed under the target's tag. */
export async function pushSmallImage(target: PushTarget, layer: Uint8Array): Promise<{readonly manifest: Descriptor; readonly layer: Descriptor}> {
	const config = Buffer.from('{}');
	const parts = {config: descriptorOf(config, mediaTypes.ociConfig), layer: descriptorOf(layer)};
	await pushBytes(target, parts.layer, layer);
	await pushBytes(target, parts.config, config);
	const bytes = Buffer.from(JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: parts.config, layers: [parts.layer]}));
	const manifest = descriptorOf(bytes, mediaTypes.ociManifest);
	await pushBytes(target, manifest, bytes);
	return {manifest, layer: parts.layer};
}

/** A directory with these files, which goes with the test. */
export async function treeOf(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-fetch-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	for (const [name, text] of Object.entries(files)) {
		await mkdir(path.dirname(path.join(directory, name)), {recursive: true});
		await writeFile(path.join(directory, name), text);
	}
	return directory;
}
