import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {Metrics as Metrics1} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import {Metrics as Metrics2} from '../../api/gen/cgroups/cgroup2/metrics.ts';
import {DescriptorWatcher} from '../../lib/sys/descriptor-watcher.ts';
import {isUnified, locateCgroup} from '../../plugins/shim/process/container-cgroup.ts';
import {OomWatch} from '../../plugins/shim/process/oom-watch.ts';
import {networkDevices} from '../../plugins/shim/process/stats-devices.ts';
import {readStatsV1} from '../../plugins/shim/process/stats-v1.ts';
import {readStatsV2} from '../../plugins/shim/process/stats-v2.ts';
import {readStats} from '../../plugins/shim/process/stats.ts';
import {summedFields, sumStats} from '../../plugins/shim/process/sum-stats.ts';
import {until} from '../helpers/until.ts';

/** A directory with the files of a control group, as the kernel's documentation prints them. */
async function group(files: Readonly<Record<string, string>>): Promise<{readonly path: string} & AsyncDisposable> {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-cgroup-'));
	for (const [name, text] of Object.entries(files)) {
		await writeFile(path.join(directory, name), text);
	}
	return {path: directory, [Symbol.asyncDispose]: async () => rm(directory, {recursive: true, force: true})};
}

const unified = {
	'cpu.stat': 'usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 3\nthrottled_usec 20000\nnr_bursts 1\nburst_usec 7\n',
	'cpu.pressure': 'some avg10=1.50 avg60=0.25 avg300=0.00 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=42\n',
	'memory.current': '8388608\n', 'memory.max': 'max\n', 'memory.peak': '9437184\n', 'memory.swap.current': '4096\n', 'memory.swap.max': '1048576\n', 'memory.swap.peak': '8192\n',
	'memory.stat': 'anon 4194304\nfile 2097152\nkernel_stack 16384\npgfault 999\npgmajfault 3\ninactive_file 1048576\nthp_fault_alloc 2\n',
	'memory.events': 'low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n',
	'pids.current': '7\n', 'pids.max': '64\n',
	'io.stat': '8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n259:0 rbytes=1 wbytes=2 rios=3 wios=4\n',
	'rdma.current': 'mlx4_0 hca_handle=2 hca_object=2000\n', 'rdma.max': 'mlx4_0 hca_handle=max hca_object=3000\n',
	'hugetlb.2MB.current': '2097152\n', 'hugetlb.2MB.max': 'max\n', 'hugetlb.2MB.events': 'max 9\n',
};

test('metrics of the second version of control groups are read from all their files', async t => {
	await using directory = await group(unified);
	const {typeUrl, value} = await readStats({controllers: new Map(), unified: directory.path}, process.pid);
	t.is(typeUrl, 'io.containerd.cgroups.v2.Metrics');
	const read = Metrics2.decode(value);
	t.deepEqual(read.pids, {current: 7n, limit: 64n});
	t.like(read.cpu, {usageUsec: 1_500_000n, userUsec: 1_000_000n, systemUsec: 500_000n, nrPeriods: 10n, nrThrottled: 3n, throttledUsec: 20_000n, nrBursts: 1n, burstUsec: 7n});
	t.like(read.cpu?.psi, {some: {avg10: 1.5, avg60: 0.25, avg300: 0, total: 123_456n}});
	t.is(read.cpu?.psi?.full?.total, 42n);
	t.like(read.memory, {
		anon: 4_194_304n, file: 2_097_152n, kernelStack: 16_384n, pgfault: 999n, pgmajfault: 3n, inactiveFile: 1_048_576n, thpFaultAlloc: 2n,
		usage: 8_388_608n, usageLimit: 0xffff_ffff_ffff_ffffn, maxUsage: 9_437_184n, swapUsage: 4096n, swapLimit: 1_048_576n, swapMaxUsage: 8192n,
	});
	t.deepEqual(read.memoryEvents, {low: 1n, high: 2n, max: 3n, oom: 4n, oomKill: 5n, oomGroupKill: 6n});
	t.deepEqual(read.io?.usage, [
		{major: 8n, minor: 16n, rbytes: 1_459_200n, wbytes: 314_773_504n, rios: 192n, wios: 353n}, {major: 259n, minor: 0n, rbytes: 1n, wbytes: 2n, rios: 3n, wios: 4n},
	]);
	t.deepEqual(read.rdma, {current: [{device: 'mlx4_0', hcaHandles: 2, hcaObjects: 2000}], limit: [{device: 'mlx4_0', hcaHandles: 0xffff_ffff, hcaObjects: 3000}]});
	t.deepEqual(read.hugetlb, [{pagesize: '2MB', current: 2_097_152n, max: 0xffff_ffff_ffff_ffffn, failcnt: 9n}]);
	t.deepEqual(read.network, [], 'the network is the host\'s');
});

test('a controller that is not there is left out, and no limit is none', async t => {
	await using directory = await group({'pids.current': '3\n', 'pids.max': 'max\n'});
	const read = Metrics2.fromPartial(await readStatsV2(directory.path));
	t.deepEqual(read.pids, {current: 3n, limit: 0n});
	t.is(read.rdma, undefined);
	t.is(read.cpu?.psi, undefined);
	t.deepEqual(await readStatsV1({controllers: new Map(), unified: undefined}), {hugetlb: []});
});

test('metrics of the first version count RDMA, huge pages and block devices too', async t => {
	await using directory = await group({
		'rdma.current': 'mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n', 'rdma.max': 'mlx4_0 hca_handle=2 hca_object=max\n',
		'hugetlb.2MB.usage_in_bytes': '2097152\n', 'hugetlb.2MB.max_usage_in_bytes': '4194304\n', 'hugetlb.2MB.failcnt': '5\n',
		'blkio.throttle.io_service_bytes': '8:0 Read 4096\n8:0 Write 8192\n8:0 Total 12288\nTotal 12288\n', 'blkio.throttle.io_serviced': '8:0 Read 1\nTotal 1\n',
	});
	const controllers = new Map(['rdma', 'hugetlb', 'blkio'].map(name => [name, directory.path]));
	const {typeUrl, value} = await readStats({controllers, unified: undefined}, process.pid);
	t.is(typeUrl, 'io.containerd.cgroups.v1.Metrics');
	const read = Metrics1.decode(value);
	t.deepEqual(read.rdma, {
		current: [{device: 'mlx4_0', hcaHandles: 2, hcaObjects: 2000}, {device: 'ocrdma1', hcaHandles: 3, hcaObjects: 0xffff_ffff}],
		limit: [{device: 'mlx4_0', hcaHandles: 2, hcaObjects: 0xffff_ffff}],
	});
	t.deepEqual(read.hugetlb, [{pagesize: '2MB', usage: 2_097_152n, max: 4_194_304n, failcnt: 5n}]);
	t.deepEqual(read.blkio?.ioServiceBytesRecursive.map(({op, major, value: bytes}) => [op, major, bytes]), [['Read', 8n, 4096n], ['Write', 8n, 8192n], ['Total', 8n, 12_288n]]);
	t.is(read.blkio?.ioServicedRecursive.length, 1);
});

test('network devices are read with all their counts', t => {
	const table = [
		'Inter-|   Receive                                                |  Transmit',
		' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
		'    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0',
		'  eth0:123456789012 345    6    7    8     9         10        11  987654321     21   22   23   24    25      26         27', '',
	].join('\n');
	t.deepEqual(networkDevices(table).map(({name}) => name), ['lo', 'eth0']);
	t.deepEqual(networkDevices(table)[1], {
		name: 'eth0', rxBytes: 123_456_789_012n, rxPackets: 345n, rxErrors: 6n, rxDropped: 7n, txBytes: 987_654_321n, txPackets: 21n, txErrors: 22n, txDropped: 23n,
	});
});

test('the second version tells each time that processes were killed for want of memory', async t => {
	await using directory = await group({'memory.events': 'low 0\noom 0\noom_kill 2\n'});
	await using watcher = new DescriptorWatcher();
	let told = 0;
	using oom = OomWatch.start({controllers: new Map(), unified: directory.path}, watcher, () => {
		told++;
	});
	t.not(oom, undefined);
	await writeFile(path.join(directory.path, 'memory.events'), 'low 1\noom 0\noom_kill 2\n');
	await writeFile(path.join(directory.path, 'memory.events'), 'low 1\noom 1\noom_kill 3\n');
	await until('it to be told', () => told === 1);
	await writeFile(path.join(directory.path, 'memory.events'), 'low 1\noom 2\noom_kill 9\n');
	await until('it to be told again', () => told === 2);
	oom?.check();
	t.is(told, 2, 'nothing is told twice');
});

test('a container\'s groups are found in a hierarchy that is v1, v2, or both', t => {
	const v1 = '30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n';
	const v2 = '32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
	const both = locateCgroup('9:memory:/ns/one\n4:cpu,cpuacct:/ns/one\n3:pids:/ns/one\n0::/ns/one\n', v1 + v2);
	t.deepEqual([...both.controllers], [['memory', '/sys/fs/cgroup/memory/ns/one'], ['cpu', '/sys/fs/cgroup/cpu,cpuacct/ns/one'], ['cpuacct', '/sys/fs/cgroup/cpu,cpuacct/ns/one']]);
	t.is(both.unified, '/sys/fs/cgroup/unified/ns/one');
	t.false(isUnified(both));
	const alone = locateCgroup('0::/ns/two\n', '32 25 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n');
	t.true(isUnified(alone));
	t.is(alone.unified, '/sys/fs/cgroup/ns/two');
	// Inside of a container, a part of the hierarchy is mounted.
	t.is(locateCgroup('0::/outer/ns/three\n', '32 25 0:28 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n').unified, '/sys/fs/cgroup/ns/three');
	t.is(locateCgroup('0::/elsewhere\n', '32 25 0:28 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n').unified, undefined);
});

test('metrics of several containers are summed, what has no sum left out', async t => {
	await using directory = await group(unified);
	const one = {cgroup: {controllers: new Map<string, string>(), unified: directory.path}, init: {pid: process.pid}};
	const {typeUrl, value} = await sumStats([one, {...one, cgroup: undefined}, one]);
	t.is(typeUrl, 'io.containerd.cgroups.v2.Metrics');
	const {cpu, memory, pids, io, hugetlb, network, rdma} = Metrics2.decode(value);
	t.like(cpu, {usageUsec: 3_000_000n, nrThrottled: 6n, psi: undefined});
	t.like(memory, {usage: 16_777_216n, usageLimit: 0xffff_ffff_ffff_ffffn, anon: 8_388_608n});
	t.like(pids, {current: 14n, limit: 128n});
	t.deepEqual(io?.usage.map(({major, minor, rbytes}) => [major, minor, rbytes]), [[8n, 16n, 2_918_400n], [259n, 0n, 2n]]);
	t.like(hugetlb, [{pagesize: '2MB', current: 4_194_304n, failcnt: 18n}]);
	t.like(rdma?.current, [{device: 'mlx4_0', hcaHandles: 4, hcaObjects: 4000}]);
	t.deepEqual(network, []);
});

test('lists of numbers are summed by place, and no containers are nothing', async t => {
	t.deepEqual(summedFields({perCpu: [1n, 2n]}, {perCpu: [3n, 4n, 5n], total: 1n}), {perCpu: [4n, 6n, 5n], total: 1n});
	const {typeUrl, value} = await sumStats([]);
	t.regex(typeUrl, /^io\.containerd\.cgroups\.v[12]\.Metrics$/);
	t.is(value.length, 0);
});
