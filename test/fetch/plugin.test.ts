import path from 'node:path';
import test from 'ava';
import {z} from 'zod';
import {Registry} from '../../contracts/fetch/fetch.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {boot} from '../../kernel/boot.ts';
import {Config} from '../../kernel/config.ts';
import {contract, definePlugin, one} from '../../kernel/index.ts';
import {LineLogger} from '../../kernel/log.ts';
import {plugin as fetchOci} from '../../plugins/fetch-oci/plugin.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {descriptorOf, treeOf} from './client.ts';

const manifest = Buffer.from('{}');
const {digest} = descriptorOf(manifest);

/** Boots the plugin as config.toml says; resolves with its registry, or with what the log says. */
async function booted(directory: string, plugins: object): Promise<{registry: Registry | undefined; log: string} & AsyncDisposable> {
	let registry: Registry | undefined;
	const probe = definePlugin({
		id: 'io.test.probe.v1.it', provides: contract('io.test.probe.v1').for<unknown>(), requires: {registry: one(Registry)}, config: z.strictObject({}),
		init({services}) {
			registry = services.registry;
			return services;
		},
	});
	const lines: string[] = [];
	const config = await Config.of({root: path.join(directory, 'root'), state: path.join(directory, 'state'), plugins});
	const kernel = await boot({loaded: {plugins: [fetchOci, probe], failures: []}, config, log: new LineLogger({level: 'warn', format: 'text', write: line => lines.push(line)})});
	return {registry, log: lines.join(''), [Symbol.asyncDispose]: async () => kernel[Symbol.asyncDispose]()};
}

test('a node\'s CRI table and the plugin\'s own credentials are what a pull goes by', async t => {
	await using mirror = await HttpStub.start((request, response) => {
		if (request.headers.authorization !== `Basic ${Buffer.from('me:word').toString('base64')}`) {
			response.writeHead(401, {'www-authenticate': 'Basic realm="x"'}).end();
		} else {
			response.writeHead(200, {'content-type': mediaTypes.ociManifest, 'docker-content-digest': digest, 'content-length': 2}).end();
		}
	});
	const directory = await treeOf(t, {});
	await using kernel = await booted(directory, {
		'io.containerd.grpc.v1.cri': {sandbox_image: 'pause:3', registry: {mirrors: {'registry.invalid': {endpoint: [`http://${mirror.host}`]}}}},
		'io.keelson.fetch.v1.oci': {docker_config: '', credentials: {[mirror.host]: {username: 'me', password: 'word'}}},
	});
	await using repository = await kernel.registry?.resolve('registry.invalid/a:1');
	t.is(repository?.descriptor.digest, digest, kernel.log);
	t.is(mirror.asked.at(-1)?.url, '/v2/a/manifests/1?ns=registry.invalid');
});

test('a push goes to the registry itself, whatever mirrors the CRI table has', async t => {
	await using mirror = await HttpStub.start((_request, response) => response.writeHead(200).end());
	await using own = await HttpStub.start((request, response) => response.writeHead(request.method === 'HEAD' ? 404 : 201).end());
	await using kernel = await booted(await treeOf(t, {}), {
		'io.containerd.grpc.v1.cri': {registry: {mirrors: {[own.host]: {endpoint: [`http://${mirror.host}`]}}}},
		'io.keelson.fetch.v1.oci': {docker_config: ''},
	});
	await using target = await kernel.registry?.target(`${own.host}/a:1`);
	await using writer = await target?.push({mediaType: mediaTypes.ociManifest, digest, size: manifest.length});
	await writer?.write(manifest);
	await writer?.commit();
	t.deepEqual([own.asked.at(-1)?.method, mirror.asked], ['PUT', []], kernel.log);
});

test('config_path of the CRI table is a tree of hosts.toml, and Docker\'s file is asked who is there', async t => {
	await using registry = await HttpStub.start((request, response) => {
		if (request.headers.authorization !== `Basic ${Buffer.from('docker:word').toString('base64')}`) {
			response.writeHead(401, {'www-authenticate': 'Basic realm="x"'}).end();
		} else {
			response.writeHead(200, {'content-type': mediaTypes.ociManifest, 'docker-content-digest': digest, 'content-length': 2}).end();
		}
	});
	const directory = await treeOf(t, {
		'certs/registry.invalid/hosts.toml': `server = "http://${registry.host}"\n`,
		'docker.json': JSON.stringify({auths: {[registry.host]: {auth: Buffer.from('docker:word').toString('base64')}}}),
	});
	await using kernel = await booted(directory, {
		'io.containerd.cri.v1.images': {registry: {config_path: `/nowhere:${path.join(directory, 'certs')}`}},
		'io.keelson.fetch.v1.oci': {docker_config: path.join(directory, 'docker.json')},
	});
	await using repository = await kernel.registry?.resolve('registry.invalid/a:1');
	t.is(repository?.descriptor.digest, digest, kernel.log);
});

test('parts of a layer that would be more than 16 MiB at a time are refused, with what would be allowed', async t => {
	const directory = await treeOf(t, {});
	const said = async (table: object): Promise<string> => {
		await using kernel = await booted(directory, {'io.keelson.fetch.v1.oci': table});
		t.is(kernel.registry === undefined, kernel.log !== '');
		return kernel.log;
	};
	t.is(await said({parallel_parts: 16, part_size: 1024 * 1024}), '');
	t.is(await said({parallel_parts: 4}), '');
	t.is(await said({part_size: 16 * 1024 * 1024}), '');
	t.regex(await said({parallel_parts: 16, part_size: 1024 * 1024 + 1}), /part_size.*is 1048577, which with parallel_parts = 16 keeps 16777232 bytes of a layer in memory, expected 1048576 at most/);
	t.regex(await said({parallel_parts: 5}), /part_size.*expected 3355443 at most/);
});

test('a CRI table that makes no sense fails the plugin, by its key', async t => {
	const directory = await treeOf(t, {});
	await using kernel = await booted(directory, {'io.containerd.grpc.v1.cri': {registry: {config_path: '/x', mirrors: {a: {endpoint: []}}}}});
	t.is(kernel.registry, undefined);
	t.regex(kernel.log, /mirrors and configs\.\*\.tls cannot be set when config_path is/);
});
