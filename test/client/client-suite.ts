import path from 'node:path';
import {Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {connect, isKeelsonError, type Process, type TransferProgress} from '../../client/index.ts';
import {succeed} from '../helpers/command.ts';
import type {Program} from '../helpers/daemon.ts';
import {programsOf, type Release} from '../helpers/releases.ts';
import {showSize} from '../helpers/terminal.ts';
import {until} from '../helpers/until.ts';
import {ClientRoom} from './client-room.ts';

/** Declares what the client can do with any daemon; `ctr` is the release that pulls where the daemon has no Transfer service. */
export function clientSuite(program: Program, {pullsWith}: {readonly pullsWith?: Release} = {}): void {
	let room: ClientRoom;

	const pull = async (image: string, onProgress?: (progress: TransferProgress) => void): Promise<void> => {
		if (pullsWith === undefined) {
			await room.client.images.pull(image, {plainHttp: true, ...(onProgress === undefined ? {} : {onProgress})});
		} else {
			await succeed(`${programsOf(pullsWith)}/ctr`, ['-a', room.daemon.places.address, '-n', room.client.namespace, 'images', 'pull', '--plain-http', image]);
		}
	};

	test.before(async () => {
		room = await ClientRoom.open(program);
		await pull(room.images.busybox);
		await pull(room.images.configured);
	});
	test.after.always(async () => {
		await room?.close();
	});

	const output = async (process: Process): Promise<{stdout: string; stderr: string; exitCode: number}> => {
		process.stdin?.end();
		const [stdout, stderr, {exitCode}] = await Promise.all([
			process.stdout === undefined ? '' : text(process.stdout), process.stderr === undefined ? '' : text(process.stderr), process.wait(),
		]);
		return {stdout, stderr, exitCode};
	};

	if (pullsWith === undefined) {
		test.serial('a pull tells of each layer and ends with the image', async t => {
			const told: TransferProgress[] = [];
			await pull(room.images.odd, progress => told.push(progress));
			const parts = await room.client.images.inspect(room.images.odd);
			for (const layer of parts.manifest.layers) {
				t.true(told.some(({digest}) => digest === layer.digest), `nothing was told of ${layer.digest}`);
			}
			t.true((await room.client.images.list()).some(({name}) => name === room.images.odd));
			await room.client.images.remove(room.images.odd, {sync: true});
			await t.throwsAsync(room.client.images.get(room.images.odd), {code: 'NOT_FOUND'});
		});

		test.serial('images are exported into one archive, which another namespace imports and runs', async t => {
			const names = [room.images.busybox, room.images.configured].toSorted();
			const chunks: Uint8Array[] = [];
			await room.client.images.export(names, async chunk => {
				chunks.push(Uint8Array.from(chunk));
			});
			using other = connect(room.daemon.places.address, {namespace: room.daemon.namespace('imports')});
			await other.services.namespaces.create({namespace: {name: other.namespace}});
			t.deepEqual((await other.images.import(Readable.from(chunks))).toSorted(), names);
			for (const name of names) {
				// containerd 2.1 keeps what the archive says of it besides.
				const {digest, mediaType, size} = (await room.client.images.get(name)).target;
				t.like((await other.images.get(name)).target, {digest, mediaType, size});
			}
			const process = await other.run({image: room.images.busybox, args: ['echo', 'imported']});
			t.is((await output(process)).stdout, 'imported\n');
			await process[Symbol.asyncDispose]();
			await t.throwsAsync(other.images.import(Readable.from([Buffer.from('no archive')])));
			await t.throwsAsync(room.client.images.export([`${room.registry.host}/nothing:here`], async () => undefined), {code: 'NOT_FOUND'});
		});

		test.serial('a pull of what the registry lacks is NOT_FOUND', async t => {
			const error = await t.throwsAsync(room.client.images.pull(`${room.registry.host}/nothing:here`, {plainHttp: true, onProgress: () => undefined}));
			t.true(isKeelsonError(error, 'NOT_FOUND'), String(error));
		});
	}

	test.serial('a container prints, and its exit code comes back', async t => {
		await using process = await room.client.run({image: room.images.busybox, args: ['sh', '-c', 'echo out; echo err >&2; exit 7']});
		t.deepEqual(await output(process), {stdout: 'out\n', stderr: 'err\n', exitCode: 7});
	});

	test.serial('what a container prints into a log is read so far, and followed to its end', async t => {
		const log = path.join(room.daemon.scratch, 'printed.log');
		const script = 'echo one; echo aside >&2; while [ ! -e /go ]; do sleep 0.05; done; echo two; printf rest';
		await using process = await room.client.run({image: room.images.busybox, args: ['sh', '-c', script], stdio: {log}});
		const {container} = process;
		const followed = Array.fromAsync(container.logs({follow: true}));
		await until('the first lines', async () => (await Array.fromAsync(container.logs())).length === 2);
		t.deepEqual((await Array.fromAsync(container.logs({stream: 'stderr'}))).toSorted(), ['aside', 'one']);
		const stop = new AbortController();
		let seen = 0;
		for await (const _ of container.logs({follow: true, signal: stop.signal})) {
			if (++seen === 2) {
				stop.abort();
			}
		}
		t.is(seen, 2, 'a signal ends it, and is no failure');
		await using go = await container.exec({args: ['touch', '/go'], stdio: 'none'});
		await go.wait();
		t.deepEqual((await followed).toSorted(), ['aside', 'one', 'rest', 'two']);
		t.is((await process.wait()).exitCode, 0);
		await using silent = await room.client.run({image: room.images.busybox, args: ['true'], stdio: 'none'});
		await t.throwsAsync(Array.fromAsync(silent.container.logs()), {code: 'FAILED_PRECONDITION'});
		await t.throwsAsync(Array.fromAsync(room.client.container('nobody').logs()), {code: 'NOT_FOUND'});
	});

	test.serial('what is written to stdin arrives, and its end too', async t => {
		await using process = await room.client.run({image: room.images.busybox, args: ['sh', '-c', 'wc -c; echo done']});
		process.stdin?.write(Buffer.alloc(300_000, 'x'));
		t.deepEqual(await output(process), {stdout: '300000\ndone\n', stderr: '', exitCode: 0});
	});

	test.serial('a megabyte of output comes back whole', async t => {
		await using process = await room.client.run({image: room.images.busybox, args: ['sh', '-c', 'head -c 1048576 /dev/zero']});
		const {stdout, exitCode} = await output(process);
		t.is(stdout.length, 1_048_576);
		t.is(exitCode, 0);
	});

	test.serial('entrypoint, command, environment, directory and user come from the image', async t => {
		await using process = await room.client.run({image: room.images.configured});
		t.deepEqual(await output(process), {stdout: '1234\n4321\n4321 777\n/work\nteal\n', stderr: '', exitCode: 0});
	});

	test.serial('a user is asked for by number, by number and group, or by name', async t => {
		for (const [user, expected] of [['1234', '1234\n4321\n4321 777\n'], ['5:6', '5\n6\n6\n'], ['nobody:extra', '65534\n777\n777\n'], ['77', '77\n0\n0\n']] as const) {
			await using process = await room.client.run({image: room.images.busybox, user, args: ['sh', '-c', 'id -u; id -g; id -G']});
			t.is((await output(process)).stdout, expected, user);
		}
	});

	test.serial('a user that is no account, or out of range, ends the start and leaves nothing', async t => {
		for (const user of ['nobodyatall', '4294967296', '2147483648', '-1', '1:2:3', '0:4294967296']) {
			await t.throwsAsync(room.client.run({image: room.images.busybox, user}), {code: 'INVALID_ARGUMENT'}, user);
		}
		t.deepEqual(await room.client.ps(), []);
	});

	test.serial('the default spec has no inheritable capability and hides what it should', async t => {
		await using process = await room.client.run({image: room.images.busybox, args: ['sh', '-c', 'grep -E "Cap(Inh|Eff|Bnd|Amb)" /proc/self/status; ls /sys/class/net; ls /sys/devices/virtual/powercap 2>/dev/null | wc -l; echo no > /proc/sys/kernel/hostname']});
		const {stdout, exitCode} = await output(process);
		t.regex(stdout, /CapInh:\t0{16}\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0{16}\nlo\n0\n/);
		t.not(exitCode, 0);
	});

	test.serial('environment, directory, hostname and a read-only root are as asked', async t => {
		await using process = await room.client.run({
			image: room.images.configured, env: ['COLOR=red', 'MORE=1'], cwd: '/tmp', hostname: 'box', readOnly: true,
			args: ['echo $COLOR $MORE; pwd; hostname; touch /work/new 2>/dev/null || echo refused'],
		});
		t.is((await output(process)).stdout, 'red 1\n/tmp\nbox\nrefused\n');
	});

	test.serial('exec adds a process, whose exit code comes back', async t => {
		await using main = await room.client.run({image: room.images.busybox, args: ['sleep', '60'], stdio: 'none'});
		t.is(main.stdout, undefined);
		await using added = await main.container.exec({args: ['sh', '-c', 'read line; echo "<$line>"; exit 5'], env: ['A=b']});
		added.stdin?.write('hello\n');
		t.deepEqual(await output(added), {stdout: '<hello>\n', stderr: '', exitCode: 5});
		t.is((await added.delete()).exitCode, 5);
		t.is((await main.container.inspect()).task?.status, 'running');
	});

	test.serial('a terminal has one output, a size, and takes Ctrl-C', async t => {
		await using process = await room.client.run({image: room.images.busybox, args: ['sh', '-c', `${showSize}; trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.1; done`], tty: true, size: {columns: 99, rows: 33}});
		t.is(process.stderr, undefined);
		await process.resize({columns: 99, rows: 33});
		let shown = '';
		for await (const chunk of process.stdout ?? []) {
			shown += String(chunk);
			if (shown.includes('ready') && !shown.includes('^C')) {
				process.stdin?.write('\u0003');
			}
			if (shown.includes('caught')) {
				break;
			}
		}
		t.regex(shown, /33 99[^]*caught/);
		t.is((await process.wait()).exitCode, 3);
	});

	test.serial('stop asks with SIGTERM, and then insists', async t => {
		await using gentle = await room.client.run({image: room.images.busybox, args: ['sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done']});
		const isReady = async ({stdout}: Process): Promise<void> => {
			for await (const chunk of stdout ?? []) {
				t.is(String(chunk), 'ready\n');
				break;
			}
		};
		await isReady(gentle);
		t.is((await gentle.container.stop())?.exitCode, 9);
		await using deaf = await room.client.run({image: room.images.busybox, args: ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done']});
		await isReady(deaf);
		t.is((await deaf.container.stop({timeMs: 300}))?.exitCode, 137);
	});

	test.serial('ps shows what runs, and a running container is removed only by force', async t => {
		await using process = await room.client.run({image: room.images.busybox, id: 'shown', args: ['sleep', '60'], stdio: 'none', labels: {kind: 'test'}});
		const [record, ...others] = await room.client.ps();
		t.deepEqual(others, []);
		t.like(record, {id: 'shown', image: room.images.busybox, labels: {kind: 'test'}, task: {pid: process.pid, status: 'running'}});
		t.deepEqual(record?.spec?.process.args, ['sleep', '60']);
		t.is(record?.spec?.linux.cgroupsPath, `/${room.client.namespace}/shown`);
		await t.throwsAsync(process.container.remove(), {code: 'FAILED_PRECONDITION', message: /shown is running/});
		await t.throwsAsync(room.client.run({image: room.images.busybox, id: 'shown'}), {code: 'ALREADY_EXISTS'});
		await process.container.remove({force: true});
		t.deepEqual(await room.client.ps(), []);
		await t.throwsAsync(process.container.remove(), {code: 'NOT_FOUND'});
	});

	test.serial('a program that is not there ends the start and leaves nothing', async t => {
		const error = await t.throwsAsync(room.client.run({image: room.images.busybox, args: ['/no/such/program']}));
		t.true(isKeelsonError(error), String(error));
		t.deepEqual(await room.client.ps(), []);
	});

	test.serial('an id with a slash and an image that nobody pulled are refused', async t => {
		await t.throwsAsync(room.client.run({image: room.images.busybox, id: 'a/b'}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(room.client.run({image: 'localhost/nobody:pulled'}), {code: 'NOT_FOUND'});
	});

	test.serial('events tell of a run in order, with their fields', async t => {
		const stop = new AbortController();
		const seen: string[] = [];
		let isListening = false;
		const listening = (async () => {
			for await (const {topic, fields, namespace} of room.client.events({filters: ['topic~=|^/tasks/|'], signal: stop.signal})) {
				if (topic === '/tasks/probe') {
					isListening = true;
				} else if (namespace === room.client.namespace) {
					seen.push(`${topic} ${String(fields?.['containerId'])}`);
				}
				if (topic === '/tasks/delete') {
					break;
				}
			}
		})();
		await until('the subscription', async () => {
			await room.client.services.events.publish({topic: '/tasks/probe', event: {typeUrl: 'probe', value: new Uint8Array(0)}});
			return isListening;
		});
		const process = await room.client.run({image: room.images.busybox, id: 'told', args: ['true'], stdio: 'none'});
		await process.wait();
		await process[Symbol.asyncDispose]();
		await Promise.race([listening, sleep(15_000, undefined, {ref: false})]);
		stop.abort();
		await listening;
		// containerd's shim may end before it has sent the last one.
		const last = program.kind === 'containerd' && seen.length === 3 ? [] : ['/tasks/delete told'];
		t.deepEqual(seen, ['/tasks/create told', '/tasks/start told', '/tasks/exit told', ...last]);
	});

	test.serial('a signal ends a call, and nobody at an address is UNAVAILABLE', async t => {
		await using process = await room.client.run({image: room.images.busybox, args: ['sleep', '60'], stdio: 'none'});
		await t.throwsAsync(process.wait({signal: AbortSignal.timeout(100)}), {code: 'DEADLINE_EXCEEDED'});
		await t.throwsAsync(process.wait({signal: AbortSignal.abort()}), {code: 'CANCELLED'});
	});
}
