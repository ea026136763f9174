import {mkdir, readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import {BadRegistry, type Misdeed} from '../helpers/bad-registry.ts';
import {collect} from '../helpers/collect.ts';
import {command} from '../helpers/command.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {endToEnd, type Scene} from '../helpers/end-to-end.ts';
import {keelsonArguments, keelsondPath} from '../helpers/keelson-program.ts';
import {image, layer, type Image} from '../helpers/oci-image.ts';
import {isSince} from '../helpers/releases.ts';
import {tar, type TarEntry} from '../helpers/tar-writer.ts';

const scenario = endToEnd('bad');
const good = (entries: readonly TarEntry[] = [{name: 'file', body: 'x'.repeat(100_000)}]): Image => image([layer(tar(entries))], {Cmd: ['/file']});

/** A pull that failed: no image, no lease, no blob, no ingest, no snapshot, no mount, no process. */
async function nothingLeft({t, daemon}: Pick<Scene, 't' | 'daemon'>, ctr: Ctr, leases = 0): Promise<void> {
	await collect(ctr);
	t.deepEqual(await ctr.lines('images', 'ls', '-q'), []);
	t.true((await ctr.lines('leases', 'ls', '-q')).length <= leases);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
	t.deepEqual(await ctr.rows('content', 'active'), []);
	t.deepEqual(await ctr.rows('snapshots', 'ls'), []);
	t.deepEqual(await daemon.remains(), []);
}

for (const reference of ['', 'UPPER CASE', 'nohost', 'host/:tag', '127.0.0.1:1/a@sha256:short', '127.0.0.1:1/../../x:y']) {
	scenario(`the reference ${JSON.stringify(reference)} is refused`, async ({t, daemon, fresh}) => {
		const ctr = fresh();
		const {code, stderr} = await ctr.run('images', 'pull', '--plain-http', reference);
		t.is(code, 1);
		t.regex(stderr, /^ctr: .+/mv);
		// Until 2.0 the client parses what it asks for, and says what it likes.
		if (daemon.kind === 'keelson' && isSince(ctr.release, '2.1') && reference !== '') {
			t.regex(stderr, /invalid/v);
		}

		await nothingLeft({t, daemon}, ctr);
	});
}

const misdeeds: ReadonlyArray<readonly [Misdeed, RegExp]> = [
	['404', /not found/v],
	['500', /500/v],
	['garbage', /ctr: .+/v],
	['wrong-manifest', /ctr: .*(?:digest|unexpected|mismatch|expected)/v],
	['wrong-layer', /ctr: .*(?:digest|unexpected|checksum|mismatch|expected)/v],
	['truncated-layer', /ctr: .*(?:unexpected EOF|failed size validation|ended after|terminated|closed|size)/v],
];

for (const [misdeed, message] of misdeeds) {
	scenario(`a registry that answers with ${misdeed} fails the pull and leaves nothing`, async ({t, daemon, fresh}) => {
		const ctr = fresh();
		await using registry = await BadRegistry.start(misdeed, good());
		const {code, stderr} = await ctr.run('images', 'pull', '--plain-http', registry.image);
		t.is(code, 1);
		t.regex(stderr, message);
		t.deepEqual(await ctr.lines('images', 'ls', '-q'), []);
		// containerd may still be removing what its unpacker began.
		if (daemon.kind === 'keelson' || (misdeed !== 'truncated-layer' && misdeed !== 'wrong-layer')) {
			await nothingLeft({t, daemon}, ctr);
		}
	});
}

scenario('a registry that answers nothing is given up when the client gives up', async ({t, daemon, fresh}) => {
	const ctr = fresh();
	await using registry = await BadRegistry.start('nothing', good());
	const {code, stderr} = await ctr.run('--timeout', '1s', 'images', 'pull', '--plain-http', registry.image);
	t.is(code, 1);
	t.regex(stderr, /deadline exceeded|canceled|Canceled/v);
	// The client's own lease stays: it has no time left to remove it.
	t.false((await ctr.lines('leases', 'ls', '-q')).some(id => id.startsWith('transfer-')));
	await nothingLeft({t, daemon}, ctr, 1);
});

scenario('a layer whose tar points outside is refused, or resolved within the tree, and writes nothing there', async ({t, daemon, fresh}) => {
	const outside = path.join(daemon.scratch, 'outside');
	await mkdir(outside, {recursive: true});
	const up = '../'.repeat(20);
	for (const [what, isRefused, entries] of [
		['a name', true, [{name: `${up}${outside.slice(1)}/name`, body: 'x'}]],
		['a name that climbs later', true, [{name: `a/../../${outside.slice(1)}/name`, body: 'x'}]],
		['an absolute name', false, [{name: `${outside}/absolute`, body: 'x'}]],
		['a symlink', false, [{name: 'way', type: 'symlink', link: outside}, {name: 'way/through', body: 'x'}]],
		['a hardlink', true, [{name: 'link', type: 'hardlink', link: `${up}etc/passwd`}]],
		['a hardlink that climbs not', true, [{name: 'link', type: 'hardlink', link: '/etc/passwd'}]],
		['a whiteout', true, [{name: `${up}${outside.slice(1)}/.wh.x`, body: ''}]],
	] as ReadonlyArray<readonly [string, boolean, readonly TarEntry[]]>) {
		const ctr = fresh();
		await using registry = await BadRegistry.start('none', good(entries));
		const {code, stderr} = await ctr.run('images', 'pull', '--plain-http', registry.image);
		t.deepEqual(await readdir(outside), [], what);
		if (daemon.kind === 'keelson') {
			t.is(code, isRefused ? 1 : 0, `${what}: ${stderr}`);
			t.regex(stderr, isRefused ? /points outside of the tree|which is not there/v : /^/v, what);
			// Until 2.0 the client names the image first, and unpacks it then.
			t.deepEqual(await ctr.lines('images', 'ls', '-q'), isRefused && isSince(ctr.release, '2.1') ? [] : [registry.image], what);
		}

		await ctr.run('images', 'rm', '--sync', registry.image);
		await nothingLeft({t, daemon}, ctr);
	}

	t.is((await stat('/etc/passwd')).nlink, 1);
});

scenario('an unknown snapshotter is named', async ({t, daemon, fresh, images}) => {
	const ctr = fresh();
	const {code, stderr} = await ctr.run('images', 'pull', '--plain-http', '--snapshotter', 'nobody', images.busybox);
	// containerd's transfer service pulls without unpacking where it does not know the snapshotter.
	if (daemon.kind === 'keelson' || !isSince(ctr.release, '2.1')) {
		t.is(code, 1);
		t.regex(stderr, /nobody|snapshotter/v);
	}

	if (daemon.kind === 'keelson') {
		t.deepEqual(await ctr.lines('images', 'ls', '-q'), isSince(ctr.release, '2.1') ? [] : [images.busybox]);
	}

	t.deepEqual(await ctr.lines('leases', 'ls', '-q'), []);
	await ctr.run('images', 'rm', '--sync', images.busybox);
	await nothingLeft({t, daemon}, ctr);
});

scenario('a command that is not in the image fails the run and leaves nothing', async ({t, ctr, daemon, images, same}) => {
	const {code, stderr} = await ctr.run('run', '--rm', images.busybox, 'none', 'nobody');
	t.is(code, 1);
	t.regex(stderr, /exec: "nobody": executable file not found in \$PATH/v);
	same('message', stderr);
	t.deepEqual(await ctr.lines('containers', 'ls', '-q'), []);
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
	t.is((await ctr.rows('snapshots', 'ls')).length, 1);
	t.deepEqual(await daemon.remains(), []);
});

scenario('an unknown image, and an unknown runtime, are named', async ({t, ctr, images}) => {
	t.is(await ctr.fails('run', '--rm', 'nobody:1', 'none', 'true'), 'ctr: image "nobody:1": not found\n');
	t.regex(await ctr.fails('run', '--rm', '--runtime', 'io.containerd.nobody.v2', images.busybox, 'none', 'true'), /nobody/v);
	t.deepEqual(await ctr.lines('containers', 'ls', '-q'), []);
});

for (const id of ['a/b', '..', '.hidden', '-', 'a b', 'ü', 'n'.repeat(77)]) {
	scenario(`apple/container: the id ${JSON.stringify(id.slice(0, 10))} is refused and leaves nothing`, async ({t, ctr, images, same}) => {
		const message = await ctr.fails('containers', 'create', images.busybox, id, 'true');
		t.regex(message, /invalid argument/v);
		same('message', message);
		t.deepEqual(await ctr.lines('containers', 'ls', '-q'), []);
	});
}

scenario('a message of 17 MiB is refused and the daemon goes on', async ({t, ctr, daemon}) => {
	const client = new grpc.Client(`unix:${daemon.places.address}`, grpc.credentials.createInsecure(), {'grpc.max_send_message_length': -1, 'grpc.default_authority': 'localhost'});
	try {
		const metadata = new grpc.Metadata();
		metadata.set('containerd-namespace', ctr.namespace);
		const same = (bytes: Buffer) => bytes;
		const error = await new Promise<grpc.ServiceError | null>(resolve => {
			client.makeUnaryRequest('/containerd.services.namespaces.v1.Namespaces/Create', same, same, Buffer.alloc(17 * 1024 * 1024), metadata, {deadline: Date.now() + 20_000}, failed => resolve(failed));
		});
		t.is(error?.code, grpc.status.RESOURCE_EXHAUSTED, error?.message);
	} finally {
		client.close();
	}

	t.is((await ctr.run('version')).code, 0);
});

scenario('a second daemon on the same root says so and ends', async ({t, ctr, daemon}) => {
	const places = {...daemon.places, state: `${daemon.places.state}-second`, address: `${daemon.places.address}.second`};
	const {code, stderr, stdout} = await command(keelsondPath, keelsonArguments(places));
	t.not(code, 0);
	t.true(`${stdout}${stderr}`.includes(daemon.places.root), `${stdout}${stderr}`);
	t.is((await ctr.run('version')).code, 0);
}, {only: 'keelson'});
