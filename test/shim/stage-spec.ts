/** The smallest spec that runs a program of busybox. */
export function specOf(args: readonly string[], {rootfs, terminal, sharesPids, cgroup}: {
	readonly rootfs: string; readonly terminal: boolean; readonly sharesPids: boolean; readonly cgroup: string;
}): object {
	const mount = (type: string, destination: string, options: readonly string[] = []): object => ({type, source: type, destination, options});
	return {
		ociVersion: '1.0.2',
		process: {terminal, args, cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}},
		root: {path: rootfs},
		hostname: 'box',
		mounts: [mount('proc', '/proc'), mount('tmpfs', '/dev', ['mode=755']), mount('devpts', '/dev/pts', ['newinstance', 'ptmxmode=0666', 'mode=0620']), mount('sysfs', '/sys', ['ro'])],
		linux: {
			cgroupsPath: cgroup,
			namespaces: [...(sharesPids ? [] : ['pid']), 'network', 'ipc', 'uts', 'mount'].map(type => ({type})),
		},
	};
}
