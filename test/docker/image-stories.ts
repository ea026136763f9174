import path from 'node:path';
import {succeed} from '../helpers/command.ts';
import type {Story} from './docker-room.ts';

/** Images: from the registry and back, under names, as archives. */
export function imageStories(story: Story): void {
	story('pull, images and inspect agree on what there is', async (t, {docker, release, images, registry}) => {
		t.regex(await docker.ok('pull', images.busybox), /Status: Image is up to date/v);
		t.regex(await docker.ok('pull', images.odd), /Status: Downloaded newer image/v);
		await docker.ok('pull', '-q', images.index);
		await docker.ok('pull', '-q', images.zstd);
		await docker.ok('pull', '-q', images.configured);
		const {busybox, index, zstd, odd, configured} = images;
		// Docker 26 leaves what has layers of zstd out of its list, on any daemon.
		const listed = [busybox, index, ...(release === '26' ? [] : [zstd]), odd, configured];
		t.deepEqual((await docker.lines('images', '--format', '{{.Repository}}:{{.Tag}}')).toSorted(), listed.toSorted());
		t.deepEqual(await docker.inspect(zstd, '.RepoTags'), [zstd]);
		t.like(await docker.inspect(configured, '.Config'), {User: 'keel', WorkingDir: '/work', Labels: {'test.label': 'configured'}});
		t.is((await docker.inspect(odd, '.RootFS.Layers') as string[]).length, 5);
		t.is(await docker.ok('run', '--rm', '--network', 'none', configured), '1234\n4321\n4321 777\n/work\nteal\n');
		t.is(await docker.ok('run', '--rm', '--network', 'none', zstd, 'echo', 'unpacked'), 'unpacked\n');
		const missing = await docker.run('pull', `${registry.host}/nothing:here`);
		t.is(missing.code, 1);
		t.regex(missing.stderr, /not found|manifest unknown/v);
		await docker.ok('rmi', index, zstd, odd);
	});

	story('tag, push, save, load and rmi move an image about', async (t, {docker, images, registry, scratch}) => {
		const [archive, pushed] = [path.join(scratch, 'saved.tar'), `${registry.host}/pushed/again:2`];
		await docker.ok('tag', images.configured, 'local/saved:1');
		const id = await docker.inspect('local/saved:1', '.Id');
		await docker.ok('save', '-o', archive, 'local/saved:1');
		t.true((await succeed('tar', ['tf', archive])).stdout.includes('manifest.json\n'));
		await docker.ok('rmi', 'local/saved:1', images.configured);
		t.is((await docker.run('image', 'inspect', 'local/saved:1')).code, 1);

		t.is(await docker.ok('load', '-i', archive), 'Loaded image: local/saved:1\n');
		t.is(await docker.inspect('local/saved:1', '.Id'), id);
		t.regex(await docker.ok('run', '--rm', '--network', 'none', 'local/saved:1'), /teal\n$/v);

		await docker.ok('tag', 'local/saved:1', pushed);
		t.regex(await docker.ok('push', pushed), new RegExp(`2: digest: ${String(id)} size: \\d+`, 'v'));
		await docker.ok('rmi', 'local/saved:1', pushed);
		t.regex(await docker.ok('pull', pushed), new RegExp(`Digest: ${String(id)}`, 'v'));
		t.regex(await docker.ok('run', '--rm', '--network', 'none', pushed), /teal\n$/v);
		await docker.ok('rmi', pushed);
	});
}
