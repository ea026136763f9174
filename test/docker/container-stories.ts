import {mkdir, readFile, readlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Story} from './docker-room.ts';

/** What a container stands on: its networks, its volumes and its files. */
export function containerStories(story: Story): void {
	story('a network is none or the host\'s', async (t, {docker, images: {busybox}}) => {
		t.is(await docker.ok('run', '--rm', '--network', 'none', busybox, 'ls', '/sys/class/net'), 'lo\n');
		t.is(await docker.ok('run', '--rm', '--network', 'host', busybox, 'readlink', '/proc/self/ns/net'), `${await readlink('/proc/self/ns/net')}\n`);
		await docker.ok('run', '-d', '--name', 'first', '--network', 'none', busybox, 'sleep', '100');
		const inside = await docker.ok('exec', 'first', 'readlink', '/proc/self/ns/net');
		t.not(inside, `${await readlink('/proc/self/ns/net')}\n`);
		t.is(await docker.ok('run', '--rm', '--network', 'container:first', busybox, 'readlink', '/proc/self/ns/net'), inside);
	});

	story('volumes are shared with the host and between containers', async (t, {docker, scratch, images: {busybox}}) => {
		const shared = path.join(scratch, 'shared');
		await mkdir(shared);
		await writeFile(path.join(shared, 'file'), 'of the host\n');
		t.is(await docker.ok('run', '--rm', '--network', 'none', '-v', `${shared}:/shared`, '-v', 'kept:/kept', busybox, 'sh', '-c', 'cat /shared/file; echo back >/shared/back; echo kept >/kept/file'), 'of the host\n');
		t.is(await readFile(path.join(shared, 'back'), 'utf8'), 'back\n');
		t.is(await docker.ok('run', '--rm', '--network', 'none', '-v', 'kept:/other:ro', '--tmpfs', '/fresh', busybox, 'sh', '-c', 'cat /other/file; touch /fresh/x && touch /other/x 2>/dev/null || echo read-only'), 'kept\nread-only\n');
		t.deepEqual(await docker.lines('volume', 'ls', '-q'), ['kept']);
	});

	story('diff and cp see what a container changed, and commit keeps it', async (t, {docker, scratch, images: {busybox}}) => {
		await docker.ok('run', '-d', '--name', 'changed', '--network', 'none', busybox, 'sleep', '100');
		await docker.ok('exec', 'changed', 'sh', '-c', 'echo new >/root/new; rm /etc/group; chmod 700 /work');
		const diff = async () => (await docker.lines('diff', 'changed')).toSorted();
		t.deepEqual(await diff(), ['A /root/new', 'C /etc', 'C /root', 'C /work', 'D /etc/group']);
		await writeFile(path.join(scratch, 'copied'), 'from outside\n');
		await docker.ok('cp', path.join(scratch, 'copied'), 'changed:/work/copied');
		t.is(await docker.ok('exec', 'changed', 'cat', '/work/copied'), 'from outside\n');
		await docker.ok('cp', 'changed:/root/new', path.join(scratch, 'taken'));
		t.is(await readFile(path.join(scratch, 'taken'), 'utf8'), 'new\n');
		t.true((await docker.run('cp', 'changed:/etc/group', scratch)).stderr.includes('/etc/group'));

		await docker.ok('commit', '-m', 'as it is', '-c', 'CMD ["cat", "/root/new", "/work/copied"]', 'changed', 'local/changed:1');
		t.is(await docker.ok('run', '--rm', '--network', 'none', 'local/changed:1'), 'new\nfrom outside\n');
		t.is(await docker.ok('run', '--rm', '--network', 'none', 'local/changed:1', 'sh', '-c', 'ls /etc; stat -c %a /work'), 'hostname\nhosts\nmtab\npasswd\nresolv.conf\n700\n');
		t.is((await docker.inspect('local/changed:1', '.RootFS.Layers') as string[]).length, 2);
		t.true((await docker.ok('history', '--format', '{{.Comment}}', 'local/changed:1')).startsWith('as it is\n'));
		// A stopped container has files as well.
		await docker.ok('kill', 'changed');
		await docker.ok('cp', 'changed:/work/copied', path.join(scratch, 'taken'));
		t.is(await readFile(path.join(scratch, 'taken'), 'utf8'), 'from outside\n');
		t.true((await diff()).includes('A /work/copied'));
		await docker.ok('rm', 'changed');
		await docker.ok('rmi', 'local/changed:1');
	});
}
