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

/** The releases of Docker that scripts/peers unpacks. */
export type DockerRelease = '26' | '28';

/** The daemon of a release of Docker, its client, and the client's plugin that builds. */
export function dockerPrograms(release: DockerRelease): {readonly dockerd: string; readonly docker: string; readonly buildx: string} {
	const programs = {
		dockerd: path.join(peers, `docker-${release}/usr/sbin/dockerd`),
		docker: path.join(peers, `docker-cli-${release}/usr/bin/docker`),
		buildx: path.join(peers, 'docker-buildx/usr/libexec/docker/cli-plugins/docker-buildx'),
	};
	if (!Object.values(programs).every(program => existsSync(program))) {
		throw new Error(`no Docker ${release} in ${peers}: run scripts/setup test`);
	}

	return programs;
}

/** True for `release` and what came after it. */
export function isSince(release: Release, first: Release): boolean {
	return releases.indexOf(release) >= releases.indexOf(first);
}
