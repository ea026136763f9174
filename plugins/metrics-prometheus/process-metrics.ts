import {readdir, readFile} from 'node:fs/promises';
import type {MetricFamily, MetricSource} from '../../contracts/metrics/metrics.ts';

/** Parts of a second in proc_pid_stat(5); the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** What Go's client says where there is no limit: the largest of 64 bits. */
const UNLIMITED = 2 ** 64;

/** The daemon itself, under the names that every exporter has: time, memory and descriptors of its process; and what it is. */
export class ProcessMetrics implements MetricSource {
	readonly #version: string;
	readonly #revision: string;

	constructor({version, revision}: {readonly version: string; readonly revision: string}) {
		this.#version = version;
		this.#revision = revision;
	}

	async collect(signal: AbortSignal): Promise<readonly MetricFamily[]> {
		signal.throwIfAborted();
		const [status, limits, stat, machine, network, descriptors] = await Promise.all([
			...['/proc/self/status', '/proc/self/limits', '/proc/self/stat', '/proc/stat', '/proc/self/net/netstat'].map(async path => readFile(path, {encoding: 'utf8', signal})),
			readdir('/proc/self/fd'),
		]) as [string, string, string, string, string, string[]];
		const {user, system} = process.cpuUsage();
		// The name in the second field may have blanks and brackets.
		const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
		const boot = Number(/^btime (\d+)$/m.exec(machine)?.[1]);
		const plain = (name: string, type: MetricFamily['type'], help: string, value: number): MetricFamily => ({name, type, help, samples: [{labels: [], value}]});
		return [
			{
				name: 'containerd_build_info_total', type: 'counter', help: 'Always 1: the labels say what this daemon is.',
				samples: [{labels: [['revision', this.#revision], ['version', this.#version]], value: 1}],
			},
			plain('process_cpu_seconds_total', 'counter', 'Processor time of the daemon.', (user + system) / 1e6),
			plain('process_max_fds', 'gauge', 'Descriptors that the daemon may have.', limitOf(limits, 'Max open files')),
			plain('process_network_receive_bytes_total', 'counter', 'Bytes that came in, over IP and to anybody in the daemon\'s network namespace.', countOf(network, 'InOctets')),
			plain('process_network_transmit_bytes_total', 'counter', 'Bytes that went out, over IP and from anybody in the daemon\'s network namespace.', countOf(network, 'OutOctets')),
			// The one that reads the directory does not count.
			plain('process_open_fds', 'gauge', 'Descriptors that the daemon has.', descriptors.length - 1),
			plain('process_resident_memory_bytes', 'gauge', 'Memory of the daemon that is resident.', kibibytesOf(status, 'VmRSS')),
			plain('process_start_time_seconds', 'gauge', 'When the daemon started, in seconds since 1970.', boot + ticks / TICKS_PER_SECOND),
			plain('process_virtual_memory_bytes', 'gauge', 'Addresses that the daemon has.', kibibytesOf(status, 'VmSize')),
			plain('process_virtual_memory_max_bytes', 'gauge', 'Addresses that the daemon may have.', limitOf(limits, 'Max address space')),
		];
	}
}

// Two lines for each protocol: names, and under them the counts.
function countOf(netstat: string, name: string): number {
	const [names = [], counts = []] = netstat.split('\n').filter(line => line.startsWith('IpExt: ')).map(line => line.split(' '));
	return Number(counts[names.indexOf(name)]);
}

function kibibytesOf(status: string, name: string): number {
	return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
}

function limitOf(limits: string, name: string): number {
	const soft = new RegExp(`^${name}\\s+(\\d+|unlimited)\\s`, 'm').exec(limits)?.[1];
	return soft === 'unlimited' ? UNLIMITED : Number(soft);
}
