import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Story} from './docker-room.ts';

/** Images that are made: by BuildKit within Docker, and away again. */
export function buildStories(story: Story): void {
	story('build runs and copies, and takes from its cache what is the same', async (t, {docker, scratch, images: {busybox}}) => {
		const context = path.join(scratch, 'context');
		await mkdir(context);
		await writeFile(path.join(context, 'added'), 'added\n');
		await writeFile(path.join(context, 'Dockerfile'), [
			`FROM ${busybox} AS maker`,
			'RUN echo made >/made; id -u >>/made; rm /etc/group',
			`FROM ${busybox}`,
			'COPY --chown=1234:4321 added /work/added',
			'COPY --from=maker /made /made',
			'RUN cat /made /work/added >/all; mkdir /d; ln /all /d/link; rm -r /work',
			'USER keel',
			'ENV COLOR=red',
			'CMD ["sh", "-c", "cat /all; echo $COLOR; id -un; stat -c %h /d/link; ls /"]',
			'',
		].join('\n'));
		// Without a bridge a build's steps have no network, or the host's.
		const build = async () => docker.run('build', '--network', 'none', '--progress', 'plain', '-t', 'local/built:1', context);
		const first = await build();
		t.is(first.code, 0, first.stderr);
		t.notRegex(first.stderr, /CACHED/v);
		t.is(await docker.ok('run', '--rm', '--network', 'none', 'local/built:1'), 'made\n0\nadded\nred\nkeel\n2\nall\nbin\nd\ndev\netc\nmade\nproc\nroot\nsys\ntmp\nvar\n');
		t.is((await docker.inspect('local/built:1', '.RootFS.Layers') as string[]).length, 4);
		const again = await build();
		t.is(again.code, 0, again.stderr);
		t.is(again.stderr.match(/^#\d+ CACHED$/gmv)?.length, 4);

		await writeFile(path.join(context, 'Dockerfile'), `FROM ${busybox}\nRUN echo to be seen; exit 9\n`);
		const failed = await build();
		t.is(failed.code, 1);
		t.regex(failed.stderr, /to be seen[\s\S]*exit code: 9/v);
		// What BuildKit cannot compute by its own differ it says in the log, and goes the long way.
		t.notRegex(await docker.log(), /failed to compute blob by overlay differ/v);
	});

	story('system df counts what there is, and prune leaves nothing, in the daemon neither', async (t, {docker, daemon, images: {busybox}}) => {
		await docker.ok('run', '--name', 'ended', '--network', 'none', '-v', 'unused:/v', busybox, 'sh', '-c', 'echo x >/file');
		const kinds = (await docker.lines('system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}}')).toSorted();
		t.regex(kinds.join('\n'), /^Build Cache [1-9].*\nContainers 1 0\nImages [2-9] [12]\nLocal Volumes \d 1$/v);
		t.regex(await docker.ok('container', 'prune', '-f'), /^Deleted Containers:\n[0-9a-f]{64}\n/v);
		await docker.ok('volume', 'prune', '-af');
		await docker.ok('image', 'prune', '-af');
		await docker.ok('builder', 'prune', '-af');
		t.regex(await docker.ok('system', 'prune', '-af', '--volumes'), /Total reclaimed space: 0B/v);
		t.deepEqual(await docker.lines('images', '-aq'), []);
		t.deepEqual(await docker.lines('volume', 'ls', '-q'), []);
		const ctr = daemon.ctr('2.1', docker.namespace);
		t.deepEqual(await ctr.lines('images', 'ls', '-q'), []);
		t.deepEqual(await ctr.lines('containers', 'ls', '-q'), []);
		t.deepEqual(await ctr.lines('snapshots', 'ls'), ['KEY PARENT KIND ']);
		t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
		await docker.ok('pull', '-q', busybox);
	});
}
