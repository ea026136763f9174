import {endToEnd} from '../helpers/end-to-end.ts';
import {isSince} from '../helpers/releases.ts';

const scenario = endToEnd('version', {pulls: false});

scenario('version prints the client and the server', async ({t, ctr}) => {
	const {code, stdout, stderr} = await ctr.run('version');
	t.is(code, 0);
	t.regex(stdout, /^Client:\n {2}Version: {2}\S+/v);
	t.regex(stdout, /\nServer:\n {2}Version: {2}\S+\n {2}Revision: ?.*\n {2}UUID: [0-9a-f\-]{36}\n/v);
	t.notRegex(stderr, /level=error/v);
});

scenario('plugins ls names what the daemon is made of', async ({t, ctr}) => {
	const table = await ctr.ok('plugins', 'ls');
	t.regex(table, /^TYPE +ID +PLATFORMS +STATUS/v);
	const rows = await ctr.rows('plugins', 'ls');
	const states = new Map(rows.map(row => [`${row[0]}.${row[1]}`, row.at(-1)]));
	for (const id of ['io.containerd.content.v1.content', 'io.containerd.snapshotter.v1.overlayfs', 'io.containerd.differ.v1.walking', 'io.containerd.grpc.v1.images', 'io.containerd.grpc.v1.tasks', 'io.containerd.runtime.v2.task']) {
		t.is(states.get(id), 'ok', id);
	}

	t.true((await ctr.lines('plugins', 'ls', '-q')).length > 10);
});

scenario('plugins ls -d says what each needs and exports', async ({t, ctr}) => {
	const detail = await ctr.ok('plugins', 'ls', '-d');
	t.regex(detail, /Type: +io\.containerd\.snapshotter\.v1\nID: +overlayfs *\n/v);
	t.regex(detail, /Exports: *\n +root +\/\S+/v);
	t.regex(detail, /Requires: *\n +io\.containerd\./v);
	t.regex(detail, /Platforms: +linux\//v);
});

scenario('a filter chooses plugins', async ({t, ctr}) => {
	const rows = await ctr.rows('plugins', 'ls', 'type==io.containerd.content.v1');
	t.deepEqual(rows.map(row => row.slice(0, 2)), [['io.containerd.content.v1', 'content']]);
});

scenario('info prints the server with its plugins counted', async ({t, ctr}) => {
	const info = JSON.parse(await ctr.ok('info')) as {server: {uuid: string; pid: string | number}};
	t.regex(info.server.uuid, /^[0-9a-f\-]{36}$/v);
	t.true(Number(info.server.pid) > 0);
}, {since: '1.7'});

scenario('the uuid of a daemon survives its restart', async ({t, ctr, daemon}) => {
	const uuid = async () => /UUID: (?<uuid>\S+)/v.exec(await ctr.ok('version'))?.groups?.['uuid'];
	const before = await uuid();
	await daemon.restart();
	t.is(await uuid(), before);
});

scenario('a client without a daemon says so', async ({t, ctr}) => {
	const nobody = `${ctr.address}.nobody`;
	const {code, stderr} = await ctr.with({}, '--address', nobody, '--connect-timeout', '200ms', 'version');
	t.is(code, 1);
	t.regex(stderr, isSince(ctr.release, '1.7') ? /no such file|failed to dial|deadline/v : /failed to dial/v);
}, {only: 'containerd'});
