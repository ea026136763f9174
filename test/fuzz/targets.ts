import assert from 'node:assert/strict';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {skippableFrame, zstdChunked} from '../../contracts/diff/lazy-layers.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {formatReference, parseReference} from '../../contracts/oci/reference.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {TarReader} from '../../lib/tar/tar-reader.ts';
import {parseChallenges} from '../../plugins/fetch-oci/challenge.ts';
import {parseHosts} from '../../plugins/fetch-oci/hosts-toml.ts';
import {mergeScopes} from '../../plugins/fetch-oci/scope.ts';
import {readArchive} from '../../plugins/transfer-local/archive-reader.ts';
import {childLabels, parseChildren, parseConfig, parseJson} from '../../plugins/transfer-local/manifest.ts';
import {tar, type TarEntry} from '../helpers/tar-writer.ts';

/** What is held to its word whatever bytes it is given: it may throw errors of ours and nothing else, ends in time, and asserts what always holds. */
export interface Target {
	readonly name: string;
	/** Part of the paths of what is under test: what counts as new. */
	readonly sources: readonly string[];
	readonly seeds: () => readonly (string | Uint8Array)[];
	/** What such inputs are made of. */
	readonly words: readonly string[];
	readonly run: (bytes: Buffer) => unknown;
}

const digest = `sha256:${'0123456789abcdef'.repeat(4)}` as const;
const descriptor = (mediaType: string, more: object = {}): object => ({mediaType, digest, size: 5, ...more});
const manifest = JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptor(mediaTypes.ociConfig), layers: [descriptor(mediaTypes.ociLayerGzip, {annotations: {a: 'b'}, urls: ['https://a']})], subject: descriptor(mediaTypes.ociManifest)});
const index = JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor(mediaTypes.ociManifest, {platform: {os: 'linux', architecture: 'arm', variant: 'v7', 'os.features': ['a']}})]});
const config = JSON.stringify({os: 'linux', architecture: 'amd64', rootfs: {type: 'layers', diff_ids: [digest]}, history: [{created_by: 'x', empty_layer: true}]});
const jsonWords = ['"mediaType"', '"digest"', '"size"', '"manifests"', '"layers"', '"config"', '"fsLayers"', '"platform"', '"rootfs"', '"diff_ids"', '"subject"', '"annotations"', digest, mediaTypes.ociIndex, mediaTypes.dockerManifest, '1e400', '-0', '1.5'];
const archive = tar([
	{name: 'index.json', body: index}, {name: 'oci-layout', body: '{"imageLayoutVersion":"1.0.0"}'}, {name: `blobs/sha256/${'0'.repeat(64)}`, body: manifest},
	{name: 'a/layer.tar', type: 'symlink', link: '../b/layer.tar'}, {name: 'b/layer.tar', type: 'hardlink', link: 'a/layer.tar'},
]);

const oddEntries: readonly TarEntry[] = [
	{name: 'd/', type: 'directory', mode: 0o1777}, {name: 'd/file', body: 'x'.repeat(700), mode: 0o4755}, {name: 'd/link', type: 'hardlink', link: 'd/file'}, {name: 'null', type: 'char', device: [1, 3]},
	{name: `long/${'n'.repeat(150)}`, body: 'long'}, {name: 'far', type: 'symlink', link: 'l'.repeat(130), uid: 3_000_000}, {name: 'sparse', sparse: {size: 100_000, extents: [{offset: 4096, bytes: Buffer.from('abc')}, {offset: 90_000, bytes: Buffer.alloc(600)}]}}, {name: 'attributes', body: 'x', pax: {'SCHILY.xattr.user.a': 'b', mtime: '1.5'}},
];

export const targets: readonly Target[] = [
	{
		name: 'tar-reader', sources: ['/lib/tar/'], words: ['ustar\u000000', 'ustar  \u0000', '30 path=', '19 GNU.sparse.major=1\n', '22 GNU.sparse.realsize=', '12 size=999\n', '././@LongLink', '\u0080\u0000\u0000', '0777', 'SCHILY.xattr.'],
		seeds: () => [archive, tar([]), ...(['ustar', 'pax', 'gnu'] as const).map(dialect => tar(dialect === 'ustar' ? oddEntries.slice(0, 4) : oddEntries, dialect))],
		run(bytes) {
			let written = 0;
			let open: {size: number} | undefined;
			const reader = new TarReader({
				entry(entry) {
					assert.equal(open, undefined, 'an entry begins within another');
					assert.ok(entry.name.length <= 4095 && entry.size >= 0 && Number.isSafeInteger(entry.size));
					open = entry;
				},
				data(data, offset) {
					written += data.length;
					assert.ok(open !== undefined && offset >= 0 && offset + data.length <= open.size, 'bytes beyond the file');
				},
				entryEnd() {
					assert.ok(open !== undefined);
					open = undefined;
				},
			});
			// In pieces, whose size the input says: what is cut elsewhere must read the same.
			const step = bytes.length < 4096 ? 1 + (bytes.at(-1) ?? 0) * 7 : 37 + (bytes.at(-1) ?? 0) * 40;
			for (let at = 0; at < bytes.length; at += step) {
				reader.push(bytes.subarray(at, at + step));
			}
			assert.ok(written <= bytes.length, 'more bytes than there are');
			reader.end();
		},
	},
	{
		name: 'archive', sources: ['/plugins/transfer-local/archive-reader', '/plugins/transfer-local/inflated', '/lib/tar/', '/lib/zstd/'], words: ['blobs/sha256/', 'manifest.json', '../', '/./', '(\u00b5/\u00fd', 'P*M\u0018'],
		seeds: () => [archive, gzipSync(archive), zstdChunked(archive, 700), Buffer.concat([skippableFrame(Buffer.from('x')), zstdCompressSync(archive)])],
		async run(bytes) {
			const signal = new AbortController().signal;
			for await (const {name, bytes: body} of readArchive((async function* () {
				yield bytes;
			})(), signal)) {
				assert.ok(!name.startsWith('/') && !name.split('/').includes('..'), name);
				for await (const chunk of body) {
					assert.ok(chunk.length > 0);
				}
			}
		},
	},
	{
		name: 'manifest', sources: ['/plugins/transfer-local/manifest', '/contracts/oci/'], words: jsonWords, seeds: () => [manifest, '{}', '[]', 'null'],
		run(bytes) {
			const {config: found, layers} = parseChildren(bytes, {mediaType: mediaTypes.ociManifest, digest, size: bytes.length});
			assert.ok(found !== undefined || layers.length >= 0);
			childLabels({layers, manifests: []});
		},
	},
	{
		name: 'index', sources: ['/plugins/transfer-local/manifest', '/contracts/oci/'], words: jsonWords, seeds: () => [index, '{"manifests":null}'],
		run(bytes) {
			const {manifests} = parseChildren(bytes, {mediaType: mediaTypes.dockerIndex, digest, size: bytes.length});
			assert.ok(manifests.every(one => /^sha\d+:[0-9a-f]+$/.test(one.digest) && Number.isSafeInteger(one.size) && one.size >= 0));
		},
	},
	{
		name: 'config', sources: ['/plugins/transfer-local/manifest', '/contracts/oci/'], words: jsonWords, seeds: () => [config],
		run(bytes) {
			assert.ok(parseConfig(bytes, digest).diffIds.every(one => /^sha\d+:[0-9a-f]+$/.test(one)));
		},
	},
	{
		name: 'reference', sources: ['/contracts/oci/reference', '/contracts/oci/digest'], words: ['localhost:5000', '[::1]:5000', `@${digest}`, ':latest', '--', '__', '//'],
		seeds: () => ['docker.io/library/busybox:latest', `[2001:db8::1]:5000/a/b-c__d.e:v1@${digest}`, 'localhost/x'],
		run(bytes) {
			const text = bytes.toString('utf8');
			const parsed = parseReference(text);
			assert.equal(formatReference(parsed), text, 'what was read is not what was written');
			assert.ok(!/[^ -~]/.test(text) && !text.includes('/../') && !/[\s\\]/.test(text));
		},
	},
	{
		name: 'www-authenticate', sources: ['/plugins/fetch-oci/challenge', '/plugins/fetch-oci/scope'], words: ['Bearer ', 'Basic ', 'realm=', 'scope="repository:a:pull"', '\\"', ', '],
		seeds: () => ['Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push"', 'Negotiate, Basic realm="a \\"b\\"", charset=UTF-8, , Bearer Realm=x'],
		run(bytes) {
			const text = bytes.toString('latin1');
			const found = parseChallenges(text);
			assert.ok(found.every(({scheme, parameters}) => /^[!-~]+$/.test(scheme) && scheme === scheme.toLowerCase() && [...parameters.keys()].every(key => /^[!-~]+$/.test(key))));
			const scopes = mergeScopes(found.map(({parameters}) => parameters.get('scope') ?? ''));
			assert.deepEqual(mergeScopes(scopes), scopes);
		},
	},
	{
		name: 'filters', sources: ['/lib/filters/'], words: ['==', '!=', '~=', 'labels."a.b"', '|x|', '/x/', '(a*)*b', '[[:alpha:]]', '\\p{L}', '{2,9}', '(?i)', ','],
		seeds: () => ['name==busybox', 'labels."a.b"~=^x.*y$,id!=3', 'name~=/a|b/', 'topic', 'name~=(a|aa)+$', 'x~="[a-z]{2,5}\\\\d"'],
		run(bytes) {
			const judge = compileFilters([bytes.toString('utf8')]);
			for (const value of ['', 'busybox', 'a'.repeat(2000), 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '\u{1f600}x\n']) {
				judge(() => value);
			}
			judge(() => undefined);
		},
	},
	{
		name: 'hosts-toml', sources: ['/plugins/fetch-oci/hosts-toml', '/lib/duration/'], words: ['"capabilities"', '"pull"', '"ca"', '"client"', '"header"', '"dial_timeout"', '"override_path"', '"auth"', 'https://', '"host"', '"server"'],
		seeds: () => ['{"server":"https://a","host":{"https://b/v2":{"capabilities":["pull"],"ca":["x"],"client":[["a","b"]],"header":{"x":["y"]},"dial_timeout":"1m3s","override_path":true,"auth":{"username":"a"}}}}'],
		async run(bytes) {
			const own = {base: new URL('https://own/v2'), capabilities: new Set<'pull'>(['pull']), headers: {}, trust: {skipVerify: false}};
			const hosts = await parseHosts(parseJson(bytes, 'hosts'), {file: '/hosts.toml', own, read: async name => name});
			assert.ok(hosts.length > 0 && hosts.every(({base}) => base.protocol === 'https:' || base.protocol === 'http:'));
		},
	},
];
