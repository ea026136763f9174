import {readFile} from 'node:fs/promises';
import {succeed} from './command.ts';
import {oddLayers} from './odd-layers.ts';
import {hostArchitecture, image, layer, pushImage, pushIndex} from './oci-image.ts';
import type {Registry} from './registry.ts';
import {tar, type TarEntry} from './tar-writer.ts';

/** What a test pulls; each value is the name to pull it by. */
export interface TestImages {
	/** One gzip layer: busybox, a few accounts, an empty /work. */
	readonly busybox: string;
	/** The same, in an index with a foreign platform beside it. */
	readonly index: string;
	/** The same in zstd. */
	readonly zstd: string;
	/** Five layers of oddities. */
	readonly odd: string;
	/** User `keel` (1234:4321, also in group 777), entrypoint, command, environment, working directory, a label. */
	readonly configured: string;
}

/** The machine's static busybox as entries of a layer: one program, its names as links. */
export async function busyboxEntries(): Promise<TarEntry[]> {
	const program = await readFile('/usr/bin/busybox');
	const {stdout} = await succeed('/usr/bin/busybox', ['--list']);
	const names = stdout.split('\n').filter(name => name !== '' && name !== 'busybox');
	return [
		{name: 'bin/busybox', body: program, mode: 0o755},
		...names.map((name): TarEntry => ({name: `bin/${name}`, type: 'symlink', link: 'busybox'})),
	];
}

/** Makes all test images from this machine's busybox and stores them in the registry; takes about half a second, needs no network beyond it. */
export async function pushTestImages(registry: Registry): Promise<TestImages> {
	const shell = await busyboxEntries();
	const root: TarEntry[] = [
		...['bin', 'etc', 'root', 'proc', 'sys', 'dev', 'var', 'work'].map((name): TarEntry => ({name: `${name}/`, type: 'directory'})),
		{name: 'tmp/', type: 'directory', mode: 0o1777},
		{name: 'etc/passwd', body: 'root:x:0:0:root:/root:/bin/sh\nkeel:x:1234:4321::/work:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n'},
		{name: 'etc/group', body: 'root:x:0:\nkeel:x:4321:\nextra:x:777:keel\n'},
		...shell,
	];
	const archive = tar(root);
	const plain = layer(archive);
	const busybox = image([plain], {Cmd: ['sh']});
	const foreign = hostArchitecture === 'arm64' ? 'amd64' : 'arm64';
	const other = image([layer(tar([{name: 'foreign', body: foreign}]))], {Cmd: ['/foreign']}, {os: 'linux', architecture: foreign});
	const configured = image([plain, layer(tar([{name: 'work/mine', body: 'mine\n', uid: 1234, gid: 4321}]))], {
		User: 'keel',
		Entrypoint: ['/bin/sh', '-c'],
		Cmd: ['id -u; id -g; id -G; pwd; echo $COLOR'],
		Env: ['PATH=/bin', 'COLOR=teal'],
		WorkingDir: '/work',
		Labels: {'test.label': 'configured'},
	});
	// One after another in one repository: docker-registry refuses a blob that is uploaded twice at once.
	const busyboxName = await pushImage(registry, 'busybox', 'latest', busybox);
	const indexName = await pushIndex(registry, 'busybox', 'index', [other, busybox]);
	const zstdName = await pushImage(registry, 'busybox', 'zstd', image([layer(archive, 'zstd')], {Cmd: ['sh']}));
	const oddName = await pushImage(registry, 'odd', 'latest', image(oddLayers(shell.slice(0, 1)), {Cmd: ['/bin/busybox', 'true']}));
	const configuredName = await pushImage(registry, 'configured', 'latest', configured);
	return {busybox: busyboxName, index: indexName, zstd: zstdName, odd: oddName, configured: configuredName};
}
