import {randomBytes} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {connect, readLayout, type Client} from '../../client/index.ts';
import {command, succeed} from '../helpers/command.ts';
import {keelson, keelsonPath} from '../helpers/keelson-program.ts';
import {image, layer} from '../helpers/oci-image.ts';
import {tar} from '../helpers/tar-writer.ts';
import {ClientRoom} from './client-room.ts';

let room: ClientRoom;

test.before(async () => {
	room = await ClientRoom.open(keelson(), 'archives');
	const {client, images} = room;
	await client.images.pull(images.busybox, {plainHttp: true});
	await client.images.pull(images.configured, {plainHttp: true});
});

test.after.always(async () => {
	await room?.close();
});

/** A client, and the command, in a namespace that nobody has used. */
async function elsewhere(): Promise<{client: Client; ok: (...args: readonly string[]) => Promise<string>} & Disposable> {
	const {address} = room.daemon.places;
	const client = connect(address, {namespace: room.daemon.namespace('archives')});
	await client.services.namespaces.create({namespace: {name: client.namespace}});
	return {
		client, ok: async (...args) => (await succeed(keelsonPath, ['-a', address, '-n', client.namespace, ...args])).stdout,
		[Symbol.dispose]: () => client[Symbol.dispose](),
	};
}

const here = async (...args: readonly string[]): ReturnType<typeof command> => command(keelsonPath, ['-a', room.daemon.places.address, '-n', room.client.namespace, ...args]);
const scratch = (name: string): string => path.join(room.daemon.scratch, name);
const namesOf = async (client: Client): Promise<string[]> => (await client.images.list()).map(({name}) => name).toSorted();

test.serial('several images go into one file and come out of it, by path and by standard input, and run', async t => {
	const {busybox, configured} = room.images;
	const file = scratch('two.tar');
	t.is((await here('export', file, busybox, configured)).stdout, `${file}\n`);
	using other = await elsewhere();
	t.deepEqual((await other.ok('import', file)).trim().split('\n').toSorted(), [busybox, configured].toSorted());
	await using hello = await other.client.run({image: configured, args: ['cat mine']});
	t.is((await hello.wait()).exitCode, 0);
	using third = await elsewhere();
	const {stdout} = await command(keelsonPath, ['-a', room.daemon.places.address, '-n', third.client.namespace, 'import', '-'], {input: await readFile(file)});
	t.deepEqual(stdout.trim().split('\n').toSorted(), [busybox, configured].toSorted());
	const [before, after] = [await room.client.images.get(busybox), await third.client.images.get(busybox)];
	t.deepEqual(after.target, before.target);
});

test.serial('an OCI layout in a directory is written and read, here and by skopeo', async t => {
	const {configured} = room.images;
	const directory = scratch('layout');
	t.is((await here('export', `${directory}/`, configured)).code, 0);
	t.deepEqual((await readdir(directory)).toSorted(), ['blobs', 'index.json', 'manifest.json', 'oci-layout']);
	t.regex((await succeed('skopeo', ['inspect', '--config', `oci:${directory}:latest`])).stdout, /"keel"/);
	using other = await elsewhere();
	t.is(await other.ok('import', directory), `${configured}\n`);
	t.deepEqual((await other.client.images.get(configured)).target, (await room.client.images.get(configured)).target);
	// A second export does not mix with the first.
	const again = await here('export', directory, configured);
	t.is(again.code, 1);
	t.regex(again.stderr, /^keelson: .*is not empty\n$/);
	// What skopeo writes as a layout, with a tag alone for a name.
	const theirs = scratch('theirs');
	await succeed('skopeo', ['copy', '--src-tls-verify=false', `docker://${room.images.zstd}`, `oci:${theirs}:v7`]);
	using third = await elsewhere();
	t.is(await third.ok('import', '--name', 'local/theirs', theirs), 'local/theirs:v7\n');
});

test.serial('every platform of an index is exported, and skopeo takes oci-archive and docker-archive from standard output', async t => {
	const {index} = room.images;
	using other = await elsewhere();
	await succeed(`/usr/bin/ctr`, ['-a', room.daemon.places.address, '-n', other.client.namespace, 'images', 'pull', '--plain-http', '--all-platforms', index]);
	const chunks: Uint8Array[] = [];
	await other.client.images.export([index], async chunk => {
		chunks.push(chunk);
	}, {allPlatforms: true});
	const file = scratch('platforms.tar');
	await writeFile(file, Buffer.concat(chunks));
	const blobs = (await succeed('tar', ['tf', file])).stdout.split('\n').filter(name => /^blobs\/sha256\/[0-9a-f]{64}$/.test(name));
	t.is(blobs.length, 7);
	using third = await elsewhere();
	t.deepEqual(await third.client.images.import(createReadStream(file)), [index]);
	for (const kind of ['oci-archive', 'docker-archive']) {
		t.is((await command('skopeo', ['inspect', '--config', `${kind}:${file}`], {env: {TMPDIR: room.daemon.scratch}})).code, 0, kind);
	}
});

test.serial('apple/container: a layout whose files are links to files of this machine is refused', async t => {
	const directory = scratch('linked');
	t.is((await here('export', `${directory}/`, room.images.busybox)).code, 0);
	const secret = scratch('secret');
	await writeFile(secret, 'mine');
	const blobs = path.join(directory, 'blobs/sha256');
	const [first = ''] = await readdir(blobs);
	const refused = async (what: string): Promise<void> => {
		const {code, stderr, stdout} = await here('import', directory);
		t.is(code, 1, what);
		t.regex(stderr, /^keelson: .*(?:ELOOP|no plain file)/, what);
		t.is(stdout, '');
	};
	await rename(path.join(blobs, first), path.join(directory, 'aside'));
	await symlink(secret, path.join(blobs, first));
	await refused('a link');
	await rm(path.join(blobs, first));
	await succeed('mkfifo', [path.join(blobs, first)]);
	await refused('a fifo');
	await rm(path.join(blobs, first));
	await rename(path.join(directory, 'aside'), path.join(blobs, first));
	await cp(path.join(directory, 'index.json'), path.join(directory, 'elsewhere.json'));
	await rm(path.join(directory, 'index.json'));
	await symlink('elsewhere.json', path.join(directory, 'index.json'));
	await refused('a link within');
});

test.serial('what cannot be imported or exported is said in a line, and leaves nothing', async t => {
	const empty = scratch('empty');
	await mkdir(empty);
	for (const [args, says] of [
		[['import', scratch('nobody.tar')], /ENOENT/], [['import', empty], /no OCI layout/], [['import', '/dev/null'], /neither an index\.json nor a manifest\.json/],
		[['export', scratch('x.tar'), 'nobody:1'], /not found/], [['export', scratch('no/such/x.tar'), room.images.busybox], /ENOENT/], [['export', '-'], /needs 2 arguments/],
	] as const) {
		const {code, stderr, stdout} = await here(...args);
		t.is(code, args.length < 2 || args[0] === 'export' && args.length === 2 ? 2 : 1, stderr);
		t.regex(stderr, says);
		t.is(stderr.split('\n').length, 2, stderr);
		t.is(stdout, '');
	}
	using other = await elsewhere();
	await t.throwsAsync(other.client.images.import((async function* () {
		yield new Uint8Array(1000);
		throw new Error('the disk is gone');
	})()), {message: /the disk is gone/});
	await t.throwsAsync(room.client.images.export([room.images.busybox], async () => {
		throw new Error('the disk is full');
	}), {message: /the disk is full/});
	t.deepEqual(await namesOf(other.client), []);
	t.deepEqual((await other.client.services.leases.list({})).leases, []);
	await t.throwsAsync(Array.fromAsync(readLayout(scratch('nobody'))), {message: /ENOENT/});
});

test.serial('an archive of 60 MB streams through with little held in memory at either end', async t => {
	const made = image([layer(tar([{name: 'big', body: randomBytes(60 * 1024 * 1024)}]), 'none')], {Cmd: ['/big']});
	const bytes = tar([
		...[made.manifest, made.config, ...made.layers].map(({digest, bytes: body}) => ({name: `blobs/${digest.replace(':', '/')}`, body})),
		{name: 'index.json', body: JSON.stringify({schemaVersion: 2, manifests: [{mediaType: made.manifest.mediaType, digest: made.manifest.digest, size: made.manifest.bytes.length, annotations: {'io.containerd.image.name': 'local/big:1'}}]})},
	]);
	using other = await elsewhere();
	t.deepEqual(await other.client.images.import((async function* () {
		for (let at = 0; at < bytes.length; at += 1024 * 1024) {
			yield bytes.subarray(at, at + 1024 * 1024);
		}
	})(), {unpack: false}), ['local/big:1']);
	let size = 0;
	let open = 0;
	let most = 0;
	await other.client.images.export(['local/big:1'], async chunk => {
		most = Math.max(most, ++open);
		await new Promise(resolve => {
			setImmediate(resolve);
		});
		size += chunk.length;
		open--;
	});
	t.true(size > 60 * 1024 * 1024);
	t.is(most, 1);
});
