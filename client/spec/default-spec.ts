import {existsSync} from 'node:fs';
import type {Spec, SpecDeviceRule, SpecMount, SpecProcess} from './spec.ts';

// What containerd's clients grant. Nothing is inheritable: a file with inheritable capabilities would raise what an unprivileged user
// in the container may do (CVE-2022-24769).
const CAPABILITIES = [
	'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FSETID', 'CAP_FOWNER', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETFCAP', 'CAP_SETPCAP',
	'CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT', 'CAP_KILL', 'CAP_AUDIT_WRITE',
] as const;

const MASKED = [
	'/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug',
	'/proc/scsi', '/sys/firmware',
	// How much power the processor draws tells what others compute (GHSA-7ww5-4wqc-m92c).
	'/sys/devices/virtual/powercap',
] as const;

const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'] as const;

const MOUNTS: readonly SpecMount[] = [
	{destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev']},
	{destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k']},
	{destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']},
	{destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']},
	{destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev']},
	{destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro']},
	{destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k']},
];

const allow = (major: number, minor?: number): SpecDeviceRule => ({allow: true, type: 'c', major, ...(minor === undefined ? {} : {minor}), access: 'rwm'});

// null, zero, full, random, urandom, tty, console, ptmx, and the terminals of devpts.
const DEVICES: readonly SpecDeviceRule[] = [
	{allow: false, access: 'rwm'},
	allow(1, 3), allow(1, 5), allow(1, 7), allow(1, 8), allow(1, 9), allow(5, 0), allow(5, 1), allow(5, 2), allow(136),
];

/**
 * The spec that a container starts from: the default capabilities and none inheritable, namespaces of its own (network included), the
 * usual file systems and devices, `/<namespace>/<id>` as its cgroup.
 */
export function defaultSpec({namespace, id, process, isUnified = hasUnifiedCgroups()}: {
	readonly namespace: string;
	readonly id: string;
	readonly process: Pick<SpecProcess, 'args' | 'env' | 'cwd' | 'user'>;
	/** The machine has cgroup v2 alone. */
	readonly isUnified?: boolean;
}): Spec {
	return {
		ociVersion: '1.0.2',
		process: {
			...process,
			capabilities: {bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES},
			rlimits: [{type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024}],
			noNewPrivileges: true,
		},
		root: {path: 'rootfs'},
		mounts: MOUNTS,
		linux: {
			namespaces: ['pid', 'ipc', 'uts', 'mount', 'network', ...isUnified ? ['cgroup'] : []].map(type => ({type})),
			cgroupsPath: `/${namespace}/${id}`,
			resources: {devices: DEVICES},
			maskedPaths: MASKED,
			readonlyPaths: READ_ONLY,
		},
	};
}

function hasUnifiedCgroups(): boolean {
	return existsSync('/sys/fs/cgroup/cgroup.controllers');
}
