import {randomBytes} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {mediaTypes} from '../oci/media-type.ts';
import {descriptorOf, digestOf, imageOf, imageWith, indexOf, layerOf, partOf, tarOf, type MadeImage, type MadeLayer, type Part} from './transfer-images.suite.ts';
import {SmallRegistry, type Lie} from './transfer-registry.suite.ts';
import type {Story} from './transfer-story.suite.ts';

/** What is wrong, the code or codes that it is refused with, and a word that the message has. */
interface Wrong {
	readonly what: string;
	readonly code: string | RegExp;
	readonly says: RegExp;
	make(): {readonly root?: Part; readonly image: MadeImage; readonly lie?: Lie};
}

/** Answers for one part in the test's way. */
function instead(part: Part | undefined, answer: (response: Parameters<Lie>[1]) => void): Lie {
	return ({method, path}, response) => {
		const isMeant = method === 'GET' && part !== undefined && path.endsWith(part.digest);
		if (isMeant) {
			answer(response);
		}
		return isMeant;
	};
}

const spoilt = ({bytes}: Part): Buffer => Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) ^ 0xff])]);

/** A layer made of these bytes, whatever they are. */
function oddLayer(bytes: Buffer, tar: Buffer, mediaType: string = mediaTypes.ociLayerGzip): MadeLayer {
	return {...partOf(mediaType, bytes), diffId: digestOf(tar)};
}

function imageSaying(more: object): MadeImage {
	const made = imageOf([layerOf()]);
	return imageWith(made.config, made.layers, more);
}

const unique = (): Record<string, string> => ({[`f-${randomBytes(6).toString('hex')}`]: 'x'});

const wrongs: readonly Wrong[] = [
	{what: 'a layer with other bytes', code: 'FAILED_PRECONDITION', says: /sha256:/, make() {
		const image = imageOf();
		return {image, lie: instead(image.layers[1], response => response.end(spoilt(image.layers[1] as Part)))};
	}},
	{what: 'a manifest with other bytes', code: 'FAILED_PRECONDITION', says: /sha256:/, make() {
		const image = imageOf();
		return {image, lie: instead(image.manifest, response => response.end(spoilt(image.manifest)))};
	}},
	{what: 'a layer that is longer than its descriptor says', code: 'FAILED_PRECONDITION', says: /more than the \d+ bytes/, make() {
		const image = imageOf();
		return {image, lie: instead(image.layers[0], response => response.end(Buffer.concat([image.layers[0]?.bytes ?? Buffer.alloc(0), Buffer.alloc(10)])))};
	}},
	{what: 'a layer that is shorter than its descriptor says', code: 'UNAVAILABLE', says: /ended after \d+ of \d+ bytes/, make() {
		const image = imageOf();
		const half = image.layers[0]?.bytes.subarray(0, 500) ?? Buffer.alloc(0);
		return {image, lie: ({method, path, range}, response) => {
			const isMeant = method === 'GET' && path.endsWith(image.layers[0]?.digest ?? '-');
			if (isMeant) {
				response.end(range === undefined ? half : Buffer.alloc(0));
			}
			return isMeant;
		}};
	}},
	{what: 'a layer whose range is not satisfiable', code: 'FAILED_PRECONDITION', says: /less than the \d+ bytes/, make() {
		const image = imageOf();
		return {image, lie: ({method, path, range}, response) => {
			const isMeant = method === 'GET' && path.endsWith(image.layers[0]?.digest ?? '-');
			if (isMeant) {
				response.writeHead(range === undefined ? 200 : 416).end(range === undefined ? image.layers[0]?.bytes.subarray(0, 500) : '');
			}
			return isMeant;
		}};
	}},
	{what: 'a layer that the registry does not have', code: 'NOT_FOUND', says: /not found/, make() {
		const image = imageOf();
		return {image, lie: instead(image.layers[1], response => response.writeHead(404).end())};
	}},
	{what: 'a layer that may not be read', code: 'PERMISSION_DENIED', says: /403/, make() {
		const image = imageOf();
		return {image, lie: instead(image.layers[1], response => response.writeHead(403).end())};
	}},
	{what: 'a gzip layer that is cut short', code: /DATA_LOSS|INVALID_ARGUMENT/, says: /./, make() {
		const tar = tarOf({...unique(), big: randomBytes(50_000)});
		const whole = gzipSync(tar);
		return {image: imageOf([layerOf(), oddLayer(whole.subarray(0, 30_000), tar)])};
	}},
	{what: 'a layer that is no archive', code: 'INVALID_ARGUMENT', says: /./, make: () => ({image: imageOf([oddLayer(gzipSync(randomBytes(5000)), randomBytes(10))])})},
	{what: 'a layer that is not of its compression', code: 'INVALID_ARGUMENT', says: /./, make() {
		const tar = tarOf(unique());
		return {image: imageOf([oddLayer(tar, tar)])};
	}},
	{what: 'a layer with another diff id than its config says', code: 'FAILED_PRECONDITION', says: /unpacks to sha256:.*its config says sha256:/, make() {
		const [layer, other] = [layerOf(), layerOf()];
		return {image: imageOf([layerOf(), {...layer, diffId: other.diffId}])};
	}},
	{what: 'a config with fewer diff ids than layers', code: 'INVALID_ARGUMENT', says: /1 diff ids, its manifest has 2 layers/, make() {
		const {config, layers} = imageOf([layerOf()]);
		return {image: imageWith(config, [...layers, layerOf()])};
	}},
	{what: 'a tar that points outside', code: 'INVALID_ARGUMENT', says: /outside|escapes|\.\./, make() {
		const tar = tarOf({...unique(), '../../outside': 'x'});
		return {image: imageOf([layerOf(), oddLayer(gzipSync(tar), tar)])};
	}},
	{what: 'a manifest that is an index too', code: 'INVALID_ARGUMENT', says: /both manifests and layers/, make: () => ({image: imageSaying({manifests: [descriptorOf(layerOf())]})})},
	{what: 'an index that is a manifest too', code: 'INVALID_ARGUMENT', says: /both manifests and layers/, make() {
		const image = imageOf();
		return {image, root: partOf(mediaTypes.ociIndex, {schemaVersion: 2, manifests: [descriptorOf(image.manifest)], layers: []})};
	}},
	{what: 'a manifest that says it is an index', code: 'INVALID_ARGUMENT', says: /says that it is/, make: () => ({image: imageSaying({mediaType: mediaTypes.ociIndex})})},
	{what: 'a manifest that is served as an index', code: 'INVALID_ARGUMENT', says: /shape of its media type/, make() {
		const image = imageOf();
		return {image, root: {...image.manifest, mediaType: mediaTypes.ociIndex}};
	}},
	{what: 'a root that is no manifest', code: 'INVALID_ARGUMENT', says: /expected a manifest or an index/, make() {
		const image = imageOf();
		return {image, root: partOf('text/html', Buffer.from('<html>welcome</html>'))};
	}},
	{what: 'a manifest that is no JSON', code: 'INVALID_ARGUMENT', says: /not JSON/, make: () => ({image: imageOf(), root: partOf(mediaTypes.ociManifest, randomBytes(200))})},
	{what: 'a malformed digest in a manifest', code: 'INVALID_ARGUMENT', says: /digest/, make: () => ({image: imageSaying({layers: [{mediaType: mediaTypes.ociLayerGzip, size: 5, digest: 'sha256:../../../etc/passwd'}]})})},
	{what: 'a layer of a negative size', code: 'INVALID_ARGUMENT', says: /size/, make: () => ({image: imageSaying({layers: [{...descriptorOf(layerOf()), size: -1}]})})},
	{what: 'a layer of a kind that is none', code: 'UNIMPLEMENTED', says: /application\/x-nobody/, make() {
		const tar = tarOf(unique());
		return {image: imageOf([oddLayer(tar, tar, 'application/x-nobody')])};
	}},
	{what: 'a manifest of 9 MiB', code: 'RESOURCE_EXHAUSTED', says: /\d+ bytes, at most/, make: () => ({image: imageSaying({annotations: {long: 'x'.repeat(9 * 1024 * 1024)}})})},
	{what: 'a config that says it has 2 GiB', code: 'RESOURCE_EXHAUSTED', says: /\d+ bytes, at most/, make() {
		const {config, layers} = imageOf();
		return {image: imageWith({...config, size: 2 ** 31}, layers)};
	}},
	{what: 'an index of indexes without end', code: 'INVALID_ARGUMENT', says: /deep/, make() {
		const image = imageOf();
		const nest: Part[] = [indexOf([image.manifest])];
		for (let depth = 0; depth < 12; depth++) {
			nest.unshift(indexOf([nest[0] as Part]));
		}
		return {root: nest[0] as Part, image: {...image, layers: [...image.layers, ...nest.map(part => ({...part, diffId: part.digest}))]}};
	}},
];

/** What a registry can do wrong: each is refused with a code and a sentence, and nothing of it is left. */
export function badStories(story: Story): void {
	for (const {what, code, says, make} of wrongs) {
		story(`${what} is refused, and leaves nothing`, async (t, corner) => {
			const {image, root = image.manifest, lie} = make();
			await using registry = await SmallRegistry.start(root, [image], lie);
			const error = await t.throwsAsync<Error & {code: string}>(corner.pull(registry.reference), {name: 'KeelsonError', message: says});
			t.regex(error.code, typeof code === 'string' ? new RegExp(`^${code}$`) : code);
			await corner.holdsNothing();
		});
	}

	for (const reference of ['', 'UPPER CASE', 'nohost', 'host/:tag', '127.0.0.1:1/a@sha256:short', '127.0.0.1:1/../../x:y']) {
		story(`the reference ${JSON.stringify(reference)} is refused`, async (t, corner) => {
			await t.throwsAsync(corner.pull(reference), {code: 'INVALID_ARGUMENT'});
			await corner.holdsNothing();
		});
	}

	story('an unknown snapshotter is refused before anything is asked for', async (t, corner) => {
		const image = imageOf();
		await using registry = await SmallRegistry.start(image.manifest, [image]);
		await t.throwsAsync(corner.pull(registry.reference, {unpacks: [{snapshotter: 'nobody'}]}), {code: 'INVALID_ARGUMENT', message: /nobody/});
		t.deepEqual(registry.asked, []);
		await corner.holdsNothing();
	});

	story('a wrong range is found out, and the blob fetched again as a whole', async (t, corner) => {
		const image = imageOf([layerOf(100_000)]);
		const [layer] = image.layers;
		await using registry = await SmallRegistry.start(image.manifest, [image], ({method, path, range}, response, self) => {
			if (method !== 'GET' || layer === undefined || !path.endsWith(layer.digest) || self.asksFor(layer) > 2) {
				return false;
			}
			if (range === undefined) {
				response.writeHead(200, {'content-length': layer.size}).write(layer.bytes.subarray(0, 50_000), () => {
					setTimeout(() => response.destroy(), 50);
				});
			} else {
				response.writeHead(206).end(Buffer.alloc(layer.size - 50_000));
			}
			return true;
		});
		await corner.pull(registry.reference);
		t.is(registry.asksFor(layer ?? image.config), 3);
		t.deepEqual((await corner.holds()).ingests, []);
	});

	for (const stage of ['manifests/latest', 'manifest', 'config', 'layer'] as const) {
		story(`a pull that is cancelled while it waits for ${stage} ends at once, and leaves nothing`, async (t, corner) => {
			const image = imageOf([layerOf(), layerOf(100_000)]);
			const part = stage === 'manifest' ? image.manifest : stage === 'config' ? image.config : image.layers[1];
			const cancelling = new AbortController();
			await using registry = await SmallRegistry.start(image.manifest, [image], ({path}, response) => {
				const isMeant = path === stage || (stage !== 'manifests/latest' && path.endsWith(part?.digest ?? '-'));
				if (isMeant) {
					if (part !== undefined && stage === 'layer') {
						response.writeHead(200, {'content-length': part.size}).write(part.bytes.subarray(0, 40_000));
					}
					setTimeout(() => {
						cancelling.abort();
					}, 100);
				}
				return isMeant;
			});
			await t.throwsAsync(corner.pull(registry.reference, {signal: cancelling.signal}), {code: 'CANCELLED'});
			await corner.holdsNothing();
		});
	}

	story('a pull that is cancelled while it unpacks leaves nothing', async (t, corner) => {
		const image = imageOf([layerOf(), layerOf(2_000_000)]);
		const cancelling = new AbortController();
		await using registry = await SmallRegistry.start(image.manifest, [image]);
		await t.throwsAsync(corner.pull(registry.reference, {signal: cancelling.signal, progress({event, name}) {
			if (event === 'extracting' && name.endsWith(image.layers[1]?.digest ?? '-')) {
				cancelling.abort();
			}
		}}), {code: 'CANCELLED'});
		await corner.holdsNothing();
		await t.throwsAsync(corner.pull(registry.reference, {signal: AbortSignal.abort()}), {code: 'CANCELLED'});
	});
}
