import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {Authority} from '../test/helpers/authority.ts';

/** containerd's (docs/hosts.md): trusts one authority for one host. */
export async function hostsDirectory(host: string, authority: Authority): Promise<AsyncDisposable & {readonly directory: string}> {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-bench-hosts-'));
	await mkdir(path.join(directory, host));
	await writeFile(path.join(directory, host, 'hosts.toml'), `server = "https://${host}"\n[host."https://${host}"]\ncapabilities = ["pull", "resolve"]\nca = ${JSON.stringify(authority.root.certificateFile)}\n`);
	return {directory, [Symbol.asyncDispose]: async () => rm(directory, {recursive: true, force: true})};
}
