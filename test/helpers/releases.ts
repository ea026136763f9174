import {existsSync} from 'node:fs';
import {homedir} from 'node:os';
import path from 'node:path';

/** The releases of ctr and containerd that tests run: Debian 12's, and two that scripts/peers unpacks. */
export const releases = ['1.6', '1.7', '2.1'] as const;
export type Release = typeof releases[number];

const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
const peers = process.env['PEERS'] ?? path.join(cache, 'keelson', 'peers');

/** The folder that holds newer generations of runc and crun, and criu. */
export const runtimePrograms = path.join(peers, 'runtimes', 'bin');

/** The folder that holds `ctr`, `containerd` and `containerd-shim-runc-v2` of a release. */
export function programsOf(release: Release): string {
	const folder = release === '1.6' ? '/usr/bin' : path.join(peers, `containerd-${release}`, 'usr/bin');
	if (!existsSync(path.join(folder, 'ctr'))) {
		throw new Error(`no ctr ${release} in ${folder}: run scripts/setup test`);
	}

	return folder;
}

/** The daemon of Docker 26, and its client. */
export function dockerPrograms(): {readonly dockerd: string; readonly docker: string} {
	const programs = {dockerd: path.join(peers, 'docker-26/usr/sbin/dockerd'), docker: path.join(peers, 'docker-cli-26/usr/bin/docker')};
	if (!existsSync(programs.dockerd) || !existsSync(programs.docker)) {
		throw new Error(`no Docker in ${peers}: run scripts/setup test`);
	}

	return programs;
}

/** True for `release` and what came after it. */
export function isSince(release: Release, first: Release): boolean {
	return releases.indexOf(release) >= releases.indexOf(first);
}
