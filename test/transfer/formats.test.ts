import test from 'ava';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {parsePlatform, platformDistance, type Platform} from '../../contracts/oci/platform.ts';
import {descriptorOf, imageOf, imageWith, layerOf, partOf, type MadeImage, type Part} from '../../contracts/transfer/transfer-images.suite.ts';
import {SmallRegistry} from '../../contracts/transfer/transfer-registry.suite.ts';
import {intoMemory, storiesOf} from '../../contracts/transfer/transfer-story.suite.ts';
import {succeed} from '../helpers/command.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {Registry} from '../helpers/registry.ts';
import {createHouse} from './house.ts';

/** Images of other kinds than most. */
const story = storiesOf(test, {name: 'formats', snapshotter: 'overlayfs', create: createHouse});

test('platforms match as in containerd: the same architecture, what it also runs, the nearest variant first', t => {
	for (const [want, best] of [
		['linux/amd64', ['linux/amd64', 'linux/386']], ['linux/amd64/v3', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64', 'linux/386']],
		['linux/arm/v7', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']], ['linux/arm/v6', ['linux/arm/v6', 'linux/arm/v5']], ['linux/arm64', ['linux/arm64', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
		['linux/386', ['linux/386']], ['linux/s390x', []], ['windows/amd64', ['windows/amd64']],
	] as const) {
		const have = ['linux/386', 'linux/amd64', 'linux/amd64/v2', 'linux/amd64/v3', 'linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64', 'linux/riscv64', 'windows/amd64'];
		const ranked = have.map(name => ({name, distance: platformDistance(parsePlatform(want), parsePlatform(name))})).filter(({distance}) => distance !== undefined);
		t.deepEqual(ranked.toSorted((a, b) => (a.distance ?? 0) - (b.distance ?? 0)).map(({name}) => name), [...best], want);
	}
	for (const [one, other] of [['linux/arm', 'linux/arm/v7'], ['linux/arm64', 'linux/arm64/v8'], ['linux/amd64', 'linux/x86_64'], ['linux/arm64', 'linux/aarch64'], ['linux/arm/7', 'linux/arm/v7'], ['linux/amd64', 'linux/amd64/v1']] as const) {
		t.is(platformDistance(parsePlatform(one), parsePlatform(other)), 0, `${one} ${other}`);
	}
});

/** The same image as Docker writes it. */
function dockerImage(platform: Platform): MadeImage {
	const {config, layers} = imageOf([layerOf(), layerOf()], platform);
	const typed = layers.map(layer => ({...layer, mediaType: mediaTypes.dockerLayerGzip}));
	const own = {...config, mediaType: mediaTypes.dockerConfig};
	const manifest = partOf(mediaTypes.dockerManifest, {schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config: descriptorOf(own), layers: typed.map(layer => descriptorOf(layer))});
	return {manifest: {...manifest, platform}, config: own, layers: typed};
}

story('of a list of Docker\'s schema 2 comes the nearest variant, and is unpacked', async (t, corner) => {
	const platforms = ['linux/arm/v5', 'linux/arm/v6', 'linux/arm64', 'linux/amd64'].map(parsePlatform);
	const images = platforms.map(dockerImage);
	const list: Part = partOf(mediaTypes.dockerIndex, {schemaVersion: 2, mediaType: mediaTypes.dockerIndex, manifests: images.map(({manifest}) => descriptorOf(manifest))});
	await using registry = await SmallRegistry.start(list, images);
	const platform = parsePlatform('linux/arm/v7');
	await corner.pull(registry.reference, {platforms: [platform], manifestLimit: 1, unpacks: [{platform, snapshotter: corner.snapshotter}]});
	await corner.collect();
	const {content, snapshots} = await corner.holds();
	const chosen = images[1];
	t.deepEqual(content, [list, chosen?.manifest, chosen?.config, ...chosen?.layers ?? []].map(part => String(part?.digest)).toSorted());
	t.is(snapshots.length, 2);
	t.is((await corner.scope.images.get('image')).target.mediaType, mediaTypes.dockerIndex);
});

story('an artifact, whose parts are no layers, is kept whole with its annotations and goes on to another registry', async (t, corner) => {
	const subject = imageOf([layerOf()]);
	const sbom: Part = partOf('application/spdx+json', {spdxVersion: 'SPDX-2.3'});
	const empty: Part = partOf('application/vnd.oci.empty.v1+json', {});
	const root = partOf(mediaTypes.ociManifest, {
		schemaVersion: 2, mediaType: mediaTypes.ociManifest, artifactType: 'application/spdx+json', config: descriptorOf(empty), layers: [{...descriptorOf(sbom), annotations: {'org.opencontainers.image.title': 'sbom.json'}}],
		subject: descriptorOf(subject.manifest), annotations: {'org.example.made': 'by a test'},
	});
	await using registry = await SmallRegistry.start(root, [{manifest: root, config: empty, layers: [{...sbom, diffId: sbom.digest}]}]);
	await corner.pull(registry.reference);
	await corner.collect();
	const {content, snapshots} = await corner.holds();
	t.deepEqual(content, [root, empty, sbom].map(({digest}) => digest as string).toSorted());
	t.deepEqual(snapshots, []);
	await using real = await Registry.start();
	await corner.transfer({source: {kind: 'store', name: 'image'}, destination: {kind: 'registry', reference: `${real.host}/artifact:1`}});
	const {stdout} = await succeed('skopeo', ['inspect', '--tls-verify=false', '--raw', `docker://${real.host}/artifact:1`]);
	t.is(stdout, root.bytes.toString());
});

story('a foreign layer is fetched from its own address and unpacked, but neither pushed nor exported where that is not wanted', async (t, corner) => {
	const plain = layerOf();
	const foreign = layerOf(5000);
	await using elsewhere = await HttpStub.start((_request, response) => response.writeHead(200).end(foreign.bytes));
	const typed = {...foreign, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', urls: [`http://${elsewhere.host}/layer`]};
	const {config} = imageOf([typed, plain]);
	const image = imageWith(config, [typed, plain], {layers: [{...descriptorOf(typed), urls: typed.urls}, descriptorOf(plain)]});
	await using registry = await SmallRegistry.start(image.manifest, [image], ({path}, response) => {
		const isForeign = path.endsWith(foreign.digest);
		if (isForeign) {
			response.writeHead(404).end();
		}
		return isForeign;
	});
	await corner.pull(registry.reference);
	t.is(elsewhere.asked.length, 1);
	t.is((await corner.holds()).snapshots.length, 2);
	await using target = await HttpStub.start((request, response) => {
		response.writeHead(request.method === 'HEAD' ? 404 : request.method === 'POST' ? 202 : 201, {location: '/v2/a/blobs/uploads/1'});
		request.resume().on('end', () => response.end());
	});
	await corner.transfer({source: {kind: 'store', name: 'image'}, destination: {kind: 'registry', reference: `${target.host}/a:1`}});
	t.false(target.asked.some(({url}) => url.includes(foreign.digest) || url.includes(encodeURIComponent(foreign.digest))));
	t.true(target.asked.some(({url}) => url.includes(plain.digest) || url.includes(encodeURIComponent(plain.digest))));
	for (const [skipNonDistributable, has] of [[true, false], [false, true]] as const) {
		const {end, bytes} = intoMemory({skipNonDistributable, skipCompatibilityManifest: true});
		await corner.transfer({source: {kind: 'store', name: 'image'}, destination: end});
		t.is(bytes().includes(`blobs/sha256/${foreign.digest.slice(7)}`), has);
	}
});

story('a push that is cut off is begun anew, and one into a registry that takes no chunks goes in one piece', async (t, corner) => {
	const image = imageOf([layerOf(20 * 1024 * 1024)]);
	const [layer] = image.layers;
	await using registry = await SmallRegistry.start(image.manifest, [image]);
	await corner.pull(registry.reference, {unpacks: []});
	let cuts = 0;
	const whole: number[] = [];
	await using target = await HttpStub.start((request, response) => {
		let size = 0;
		request.on('data', (part: Buffer) => {
			size += part.length;
		}).on('end', () => {
			const {method = '', headers, url = ''} = request;
			const isChunk = method === 'PATCH';
			if (isChunk && headers['content-range']?.startsWith('0-') === false) {
				response.writeHead(400).end('no chunks here');
			} else if (method === 'PUT' && size > 10_000_000 && ++cuts === 1) {
				request.socket.destroy();
			} else {
				if (method === 'PUT' && url.includes('uploads')) {
					whole.push(size);
				}
				response.writeHead(method === 'HEAD' ? 404 : method === 'POST' || isChunk ? 202 : 201, {location: '/v2/a/blobs/uploads/1'}).end();
			}
		});
	});
	await corner.transfer({source: {kind: 'store', name: 'image'}, destination: {kind: 'registry', reference: `${target.host}/a:1`}});
	t.is(cuts, 2);
	t.true(whole.includes(layer?.size ?? 0));
});

story('a pull tells at its end how many requests a registry still allows, and what it warns of', async (t, corner) => {
	const image = imageOf();
	await using registry = await SmallRegistry.start(image.manifest, [image], (_asked, response) => {
		response.setHeader('ratelimit-limit', '100;w=21600');
		response.setHeader('ratelimit-remaining', '98;w=21600');
		response.setHeader('warning', '299 - "this registry moves"');
		return false;
	});
	const said: string[] = [];
	await corner.pull(registry.reference, {progress: ({event, name}) => name === '' && said.push(event)});
	const {host} = new URL(`http://${registry.reference}`);
	t.deepEqual(said.slice(-3), [`${host} allows 98 of 100 requests more in 21600 s`, `${host} warns: this registry moves`, `Completed pull from OCI Registry (${registry.reference})`]);
});
