import {mkdir, mkdtemp, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {endToEnd} from '../helpers/end-to-end.ts';
import {HttpStub} from '../helpers/http-stub.ts';

/** hosts.toml as containerd 2.1 reads it, and as we do. Older clients read it themselves. */
const scenario = endToEnd('hosts', {pulls: false});

scenario('a hosts.toml sends a pull where it says, and a wrong one fails it', async ({t, daemon, registry, fresh}) => {
	const ctr = fresh();
	await using mirror = await HttpStub.start((_request, response) => response.writeHead(404).end());
	const own = `server = "http://${registry.host}"\n`;
	const host = (address: string, more: string): string => `${own}[host."${address}"]\n${more}`;
	for (const [what, folder, toml, works] of [
		['the server alone', 'registry.invalid', own, true],
		['any registry', '_default', own, true],
		['a mirror that has nothing', 'registry.invalid', host(`http://${mirror.host}`, 'capabilities = ["pull", "resolve"]\n'), true],
		['a mirror below a path', 'registry.invalid', host(`http://${mirror.host}/below/v2`, 'override_path = true\n[host."X".header]\nX-Mine = "yes"\n'.replace('X"', `http://${mirror.host}/below/v2"`)), true],
		['a mirror that is the registry', 'registry.invalid', `server = "http://${mirror.host}"\n[host."http://${registry.host}"]\ncapabilities = ["pull", "resolve"]\n`, true],
		['a server that has nothing', 'registry.invalid', `server = "http://${mirror.host}"\n`, false],
		['a host that may only push', 'registry.invalid', `server = "http://${mirror.host}"\n[host."http://${registry.host}"]\ncapabilities = ["push"]\n`, false],
		['an unknown capability', 'registry.invalid', host(`http://${mirror.host}`, 'capabilities = ["fly"]\n'), false],
		['what is no TOML', 'registry.invalid', 'server = [', false],
		['a certificate that is not there', 'registry.invalid', host(`https://${mirror.host}`, 'ca = "nobody.crt"\n'), false],
	] as const) {
		const directory = await mkdtemp(path.join(daemon.scratch, 'hosts-'));
		await mkdir(path.join(directory, folder));
		await writeFile(path.join(directory, folder, 'hosts.toml'), toml);
		const {code, stderr} = await ctr.run('images', 'pull', '--hosts-dir', directory, 'registry.invalid/busybox:latest');
		t.is(code, works ? 0 : 1, `${what}: ${stderr}`);
		if (works) {
			await ctr.ok('images', 'rm', '--sync', 'registry.invalid/busybox:latest');
		}
	}

	const below = mirror.asked.filter(({url}) => url.startsWith('/below/v2/busybox/'));
	t.true(below.length > 0);
	t.true(below.every(({headers}) => headers['x-mine'] === 'yes'));
	// A mirror is told for whom it stands.
	t.true(mirror.asked.filter(({url}) => url.includes('/manifests/')).every(({url}) => url.endsWith('?ns=registry.invalid')));
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
}, {since: '2.1'});
