import test from 'ava';
import {containerd} from '../helpers/containerd-program.ts';
import {Daemon, type Program} from '../helpers/daemon.ts';
import {readExposition, type ExposedFamily} from '../helpers/exposition.ts';
import {freePort} from '../helpers/free-port.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {Registry} from '../helpers/registry.ts';
import type {Release} from '../helpers/releases.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';

type Families = ReadonlyMap<string, ExposedFamily>;

/** What a client's dashboard may read of containerd and finds here too, where a machine has it. */
const OURS = /^(?:container_|containerd_build_info|containerd_gc_|grpc_server_|process_)/;

let registry: Registry;
let image: string;
let ours: Families;
test.before(async () => {
	registry = await Registry.start();
	image = (await pushTestImages(registry)).busybox;
	ours = await measured('2.1', config => keelson({config}));
});
test.after.always(async () => registry?.[Symbol.asyncDispose]());

/** All families of a daemon that runs a container, and has answered and refused a client. */
async function measured(release: Release, program: (config: string) => Program): Promise<Families> {
	const port = await freePort();
	const daemon = await Daemon.start(program(`[metrics]\naddress = "127.0.0.1:${port}"\ngrpc_histogram = true\n`));
	try {
		const ctr = daemon.ctr(release, daemon.namespace('measured'));
		await ctr.ok('images', 'pull', '--plain-http', image);
		await ctr.ok('run', '-d', '--memory-limit', '67108864', image, 'one', 'sh', '-c', 'echo; sleep 100');
		await ctr.run('containers', 'info', 'nosuch');
		const response = await until('the metrics of the container', async () => {
			const answer = await fetch(`http://127.0.0.1:${port}/v1/metrics`);
			const text = await answer.text();
			return text.includes('container_id="one"') ? {type: answer.headers.get('content-type'), encoding: answer.headers.get('content-encoding'), text} : undefined;
		});
		if (response.type?.startsWith('text/plain; version=0.0.4') !== true) {
			throw new Error(`metrics are of type ${response.type}`);
		}
		if (response.encoding !== 'gzip') {
			throw new Error(`metrics come as ${response.encoding} for a client that takes gzip`);
		}
		const plain = await fetch(`http://127.0.0.1:${port}/v1/metrics`, {headers: {'accept-encoding': 'identity'}});
		if (plain.headers.get('content-encoding') !== null || !(await plain.text()).startsWith('# HELP')) {
			throw new Error(`metrics come as ${plain.headers.get('content-encoding')} for a client that takes no gzip`);
		}
		await ctr.ok('tasks', 'delete', '--force', 'one');
		return readExposition(response.text);
	} finally {
		await daemon[Symbol.asyncDispose]();
	}
}

for (const release of ['1.6', '2.1'] as const) {
	test.serial(`families have the names, types and labels that containerd ${release} gives them`, async t => {
		t.timeout(60_000);
		const theirs = await measured(release, config => containerd(release, {config}));
		const names = [...theirs.keys()].filter(name => OURS.test(name));
		t.true(names.length > 60, `${names.length}`);
		t.deepEqual(names.filter(name => !ours.has(name)), [], 'none is missing here');
		for (const name of names) {
			const [mine, other] = [ours.get(name), theirs.get(name)];
			t.is(mine?.type, other?.type, name);
			t.deepEqual([...mine?.labels ?? []].toSorted(), [...other?.labels ?? []].toSorted(), name);
		}
	});
}

test.serial('numbers are what they say', t => {
	const sum = (name: string, part: string): number => [...ours.get(name)?.values ?? []].filter(([key]) => key.includes(part)).reduce((all, [, value]) => all + value, 0);
	t.is(sum('container_memory_usage_limit_bytes', 'container_id="one"'), 67_108_864);
	t.true(sum('container_pids_current', 'container_id="one"') >= 1);
	t.true(sum('container_cpu_total_nanoseconds', '') > 0);
	t.true(sum('grpc_server_handled_total', 'grpc_code="NotFound"') >= 1);
	t.true(sum('grpc_server_started_total', 'grpc_method="Create"') >= 2);
	t.is(sum('keelson_shims', 'state="healthy"'), 1);
	t.is(sum('containerd_build_info_total', ''), 1);
	t.true(sum('containerd_gc_collections_total', 'status="success"') >= 1);
	t.true(sum('containerd_gc_gc_seconds', '_count') >= 1);
	t.true(Math.abs(sum('process_start_time_seconds', '') - Date.now() / 1000) < 600);
	t.true(sum('process_resident_memory_bytes', '') > 10_000_000);
	// Labels that a client could invent would have no bound.
	for (const [key] of ours.get('grpc_server_started_total')?.values ?? []) {
		t.regex(key, /grpc_service="(?:containerd\.services\.|grpc\.health\.v1\.)/);
	}
});
