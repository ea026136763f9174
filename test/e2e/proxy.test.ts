import test from 'ava';
import {containerd} from '../helpers/containerd-program.ts';
import {Daemon} from '../helpers/daemon.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {Registry} from '../helpers/registry.ts';
import {releases} from '../helpers/releases.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';

/** A keelsond whose snapshotter `native` is that of a containerd in another process. */
async function withRemote(body: (parts: {readonly remote: Daemon; readonly daemon: Daemon; readonly images: Awaited<ReturnType<typeof pushTestImages>>}) => Promise<void>): Promise<void> {
	await using registry = await Registry.start();
	const images = await pushTestImages(registry);
	await using remote = await Daemon.start(containerd('1.6'));
	const config = [
		'[proxy_plugins.native]', 'type = "snapshot"', `address = ${JSON.stringify(remote.places.address)}`, 'capabilities = ["rebase"]',
		'[proxy_plugins.native.exports]', 'root = "/far/away"',
		'[proxy_plugins.odd]', 'type = "sandbox"', 'address = "/odd.sock"', '',
	].join('\n');
	await using daemon = await Daemon.start(keelson({config}));
	await body({remote, daemon, images});
}

test.serial('images are unpacked into a snapshotter of another process, and containers run on it', async t => {
	t.timeout(180_000);
	await withRemote(async ({remote, daemon, images}) => {
		const rows = await daemon.ctr('1.6', 'default').rows('plugins', 'ls');
		t.deepEqual(rows.find(([type, id]) => type === 'io.containerd.snapshotter.v1' && id === 'native')?.at(-1), 'ok');
		t.deepEqual(rows.find(([, id]) => id === 'proxy_plugins.odd.type')?.at(-1), 'error');
		const detail = await daemon.ctr('1.6', 'default').ok('plugins', 'ls', '-d', 'id==native');
		t.regex(detail, /root +\/far\/away/v);
		t.regex(detail, /Capabilities: +rebase/v);
		t.true((await daemon.log()).includes(`key proxy_plugins.odd.type (${daemon.places.config}:8:1) is \\"sandbox\\", expected \\"snapshot\\", \\"content\\" or \\"diff\\"`), await daemon.log());

		for (const release of releases) {
			const ctr = daemon.ctr(release, daemon.namespace('proxy'));
			await ctr.ok('images', 'pull', '--plain-http', '--snapshotter', 'native', images.busybox);
			t.is(await ctr.prints('run', '--rm', '--snapshotter', 'native', images.busybox, 'far', 'sh', '-c', 'echo new > /new; cat /new'), 'new\n', release);
			await ctr.ok('run', '-d', '--snapshotter', 'native', images.busybox, 'stays', 'sleep', '60');
			const here = (await ctr.rows('snapshots', '--snapshotter', 'native', 'ls')).map(([key = '']) => key);
			t.is(here.length, 2);
			t.true(here.includes('stays'));

			const there = (await remote.ctr('1.6', 'keelson').rows('snapshots', '--snapshotter', 'native', 'ls')).map(([key = '']) => key);
			for (const key of here) {
				t.true(there.some(far => far.startsWith(`${ctr.namespace}/`) && far.endsWith(`/${key}`)), `the peer keeps ${key} under a key of its own`);
			}
			await ctr.ok('tasks', 'rm', '--force', 'stays');
			await ctr.ok('containers', 'rm', 'stays');
			await ctr.ok('images', 'rm', '--sync', images.busybox);
			t.deepEqual(await ctr.rows('snapshots', '--snapshotter', 'native', 'ls'), []);
		}
		t.deepEqual(await remote.ctr('1.6', 'keelson').rows('snapshots', '--snapshotter', 'native', 'ls'), [], 'what is collected here goes there');
		t.deepEqual([await daemon.stop(), await daemon.remains()], [true, []]);
	});
});

test.serial('a snapshotter whose process is away fails alone, and answers again when it is back', async t => {
	t.timeout(120_000);
	await withRemote(async ({remote, daemon, images}) => {
		const ctr = daemon.ctr('1.7', daemon.namespace('proxy'));
		await remote.stop();
		t.regex(await ctr.fails('snapshots', '--snapshotter', 'native', 'prepare', 'k'), /navailable|no such file|refused|connect/v);
		await ctr.ok('images', 'pull', '--plain-http', images.busybox);
		await ctr.ok('images', 'rm', '--sync', images.busybox);
		await remote.start();
		await until('the peer to be found again', async () => (await ctr.run('snapshots', '--snapshotter', 'native', 'prepare', 'k')).code === 0, {timeoutMs: 60_000, everyMs: 200});
		t.deepEqual((await ctr.rows('snapshots', '--snapshotter', 'native', 'ls')).map(([key]) => key), ['k']);
	});
});
