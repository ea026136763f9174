import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {copyFile, mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {gzipSync} from 'node:zlib';

const BUSYBOX = '/usr/bin/busybox';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

interface Blob {
	readonly mediaType: string;
	readonly digest: string;
	readonly bytes: Buffer;
}

/** Makes an image of this machine's static busybox in two layers and stores it in a registry, unless it is there. Resolves with its name. */
export async function pushFirstImage(host: string, repository: string): Promise<string> {
	const name = `${host}/${repository}:latest`;
	const manifestUrl = `http://${host}/v2/${repository}/manifests/latest`;
	if ((await fetch(manifestUrl, {method: 'HEAD', headers: {accept: MANIFEST}})).ok) {
		return name;
	}
	const tars = await layerTars();
	const layers = tars.map(tar => blob(LAYER, gzipSync(tar)));
	const config = blob(CONFIG, {
		os: 'linux',
		architecture: process.arch === 'x64' ? 'amd64' : process.arch,
		config: {Env: ['PATH=/bin'], Cmd: ['sh'], WorkingDir: '/root'},
		rootfs: {type: 'layers', diff_ids: tars.map(digestOf)},
	});
	await Promise.all([config, ...layers].map(async each => putBlob(host, repository, each)));
	const manifest = blob(MANIFEST, {schemaVersion: 2, mediaType: MANIFEST, config: descriptor(config), layers: layers.map(descriptor)});
	await expectCreated(await fetch(manifestUrl, {method: 'PUT', headers: {'content-type': MANIFEST}, body: new Uint8Array(manifest.bytes)}), name);
	return name;
}

/** busybox under all its names, and above it a file system's usual folders with a file to read. */
async function layerTars(): Promise<Buffer[]> {
	const directory = await mkdtemp(join(tmpdir(), 'keelson-image-'));
	try {
		const [tools, base] = [join(directory, 'tools'), join(directory, 'base')];
		await mkdir(join(tools, 'bin'), {recursive: true});
		await copyFile(BUSYBOX, join(tools, 'bin/busybox'));
		const {stdout} = await promisify(execFile)(BUSYBOX, ['--list']);
		const names = stdout.split('\n').filter(name => name !== '' && name !== 'busybox');
		await Promise.all(names.map(async name => symlink('busybox', join(tools, 'bin', name))));
		await Promise.all(['dev', 'etc', 'proc', 'root', 'sys', 'tmp', 'var'].map(async name => mkdir(join(base, name), {recursive: true})));
		await writeFile(join(base, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
		await writeFile(join(base, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
		await writeFile(join(base, 'root/hello'), 'hello from a container that keelson runs\n');
		return await Promise.all([tools, base].map(async folder => {
			const {stdout: bytes} = await promisify(execFile)('tar', ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=posix', '--pax-option=delete=atime,delete=ctime', '-C', folder, '-cf', '-', '.'], {encoding: 'buffer', maxBuffer: 64 * 1024 * 1024});
			return bytes;
		}));
	} finally {
		await rm(directory, {recursive: true, force: true});
	}
}

function blob(mediaType: string, content: Buffer | object): Blob {
	const bytes = content instanceof Buffer ? content : Buffer.from(JSON.stringify(content));
	return {mediaType, digest: digestOf(bytes), bytes};
}

function digestOf(bytes: Uint8Array): string {
	return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function descriptor({mediaType, digest, bytes}: Blob): {mediaType: string; digest: string; size: number} {
	return {mediaType, digest, size: bytes.length};
}

/** distribution-spec, Pushing blobs: a POST begins, a PUT of all ends. */
async function putBlob(host: string, repository: string, {digest, bytes}: Blob): Promise<void> {
	const begun = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, {method: 'POST'});
	const target = new URL(begun.headers.get('location') ?? '', `http://${host}`);
	target.searchParams.set('digest', digest);
	await expectCreated(await fetch(target, {method: 'PUT', headers: {'content-type': 'application/octet-stream'}, body: new Uint8Array(bytes)}), digest);
}

async function expectCreated(response: Response, what: string): Promise<void> {
	if (response.status !== 201) {
		throw new Error(`the registry answers ${response.status} to ${what}: ${await response.text()}`);
	}
}
