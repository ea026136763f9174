import {chmod, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {Daemon} from '../helpers/daemon.ts';
import {endToEnd, type Scene} from '../helpers/end-to-end.ts';
import {runtimePrograms} from '../helpers/releases.ts';
import {byRuntime, clientOf, createContainer, createTask, remove, runTask, type SpecParts} from '../helpers/task-client.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('hardening', {pairs: 'each', daemon: {withoutUnifiedCgroup: true}});

/** What a script prints in a container whose spec is changed, with a runtime of the caller's choice. */
async function prints({t, ctr, images, daemon}: Scene, script: string, {change, runtime = 'runc', flags = []}: {
	readonly change: (spec: SpecParts) => void; readonly runtime?: string; readonly flags?: readonly string[];
}): Promise<string> {
	using client = clientOf(daemon, ctr);
	await createContainer(client, ctr, images.busybox, {id: 'hardened', args: ['sh', '-c', script], flags, change});
	const {text, code} = await runTask(client, daemon, 'hardened', byRuntime(runtime));
	t.is(code, 0, text);
	await ctr.ok('containers', 'rm', 'hardened');
	return text;
}

/** A mapped root has no rights in the test's own directory. */
async function letOthersPass({places: {directory}}: Daemon): Promise<void> {
	await chmod(directory, 0o711);
}

/** The runtimes that a container may name: Debian 12's, and a newer generation of both. */
const runtimes = ['runc', 'crun', path.join(runtimePrograms, 'runc'), path.join(runtimePrograms, 'crun')];

for (const runtime of runtimes) {
	scenario(`${runtime}: masked and read-only paths, rlimits, capabilities, sysctl, devices and seccomp are as the spec says`, async scene => {
		const {t} = scene;
		const said = await prints(scene, [
			'cat /proc/meminfo | wc -c', 'touch /proc/sys/kernel/domainname 2>/dev/null || echo read-only', 'ulimit -n; ulimit -Hn',
			'grep -E "^(CapInh|CapPrm|CapEff|CapBnd|NoNewPrivs)" /proc/self/status | tr "\\t" " "', 'cat /proc/sys/kernel/shm_rmid_forced',
			'head -c 3 /dev/mine | wc -c; head -c 1 /dev/closed 2>/dev/null || echo closed', 'mkdir /forbidden 2>&1',
			'echo; grep ^Seccomp: /proc/self/status',
		].join('; ') + '; true', {runtime, change: spec => {
			// What Debian 12's crun knows.
			Object.assign(spec, {ociVersion: '1.0.2'});
			spec.linux.maskedPaths = ['/proc/meminfo'];
			spec.linux.readonlyPaths = ['/proc/sys/kernel/domainname'];
			spec.linux.sysctl = {'kernel.shm_rmid_forced': '1'};
			spec.linux.devices = [
				{path: '/dev/mine', type: 'c', major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0}, {path: '/dev/closed', type: 'c', major: 1, minor: 11, fileMode: 0o666, uid: 0, gid: 0},
			];
			spec.linux.resources = {...spec.linux.resources, devices: [...spec.linux.resources?.devices ?? [], {allow: true, type: 'c', major: 1, minor: 5, access: 'rwm'}]};
			spec.linux.seccomp = {defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'], syscalls: [{names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1}]};
			spec.process.rlimits = [{type: 'RLIMIT_NOFILE', soft: 123, hard: 456}];
			const few = ['CAP_CHOWN', 'CAP_KILL'];
			spec.process.capabilities = {bounding: few, effective: few, permitted: few};
			spec.process.noNewPrivileges = true;
		}});
		t.deepEqual(said.trim().split('\n'), [
			'0', 'read-only', '123', '456',
			'CapInh: 0000000000000000', 'CapPrm: 0000000000000021', 'CapEff: 0000000000000021', 'CapBnd: 0000000000000021', 'NoNewPrivs: 1',
			'1', '3', 'closed', 'mkdir: can\'t create directory \'/forbidden\': Operation not permitted', '', 'Seccomp:\t2',
		]);
	}, {until: '1.6'});

	scenario(`${runtime}: hooks run in order, each where and when the spec says`, async ({t, ctr, images, daemon}) => {
		using client = clientOf(daemon, ctr);
		const file = path.join(daemon.scratch, `hooks-${path.basename(path.dirname(runtime))}-${path.basename(runtime)}`);
		await writeFile(file, '');
		const hook = (name: string): object[] => [{path: '/bin/sh', args: ['sh', '-c', `cat >/dev/null; echo ${name} >>${file}`]}];
		await createContainer(client, ctr, images.busybox, {id: 'hooked', args: ['sleep', '60'], change: spec => {
			Object.assign(spec, {ociVersion: '1.0.2'});
			spec.hooks = {
				prestart: hook('prestart'), createRuntime: hook('createRuntime'), createContainer: hook('createContainer'),
				startContainer: [{path: '/bin/sh', args: ['sh', '-c', 'cat >/dev/null; echo startContainer >>/dev/hooks']}],
				poststart: hook('poststart'), poststop: hook('poststop'),
			};
		}});
		const lines = async (): Promise<string[]> => (await readFile(file, 'utf8')).trim().split('\n');
		await createTask(client, 'hooked', byRuntime(runtime));
		// runc 1.1 runs poststart here already.
		const created = ['prestart', 'createRuntime', 'createContainer'];
		t.deepEqual((await lines()).slice(0, 3), created);
		await client.services.tasks.start({containerId: 'hooked'});
		t.deepEqual(await lines(), [...created, 'poststart']);
		t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'hook', 'hooked', 'cat', '/dev/hooks'), 'startContainer\n');
		await remove(ctr, 'hooked');
		t.deepEqual(await lines(), [...created, 'poststart', 'poststop']);
		await createContainer(client, ctr, images.busybox, {id: 'refused', args: ['sleep', '60'], change: spec => {
			Object.assign(spec, {ociVersion: '1.0.2'});
			spec.hooks = {createRuntime: [{path: '/bin/false'}]};
		}});
		await t.throwsAsync(createTask(client, 'refused', byRuntime(runtime)), {message: /OCI runtime create failed/v});
		await ctr.ok('containers', 'rm', 'refused');
	}, {until: '1.6'});
}

scenario('in a user namespace, root is somebody else outside', async ({t, ctr, images, daemon}) => {
	await letOthersPass(daemon);
	const flags = ['--uidmap', '0:100000:65536', '--gidmap', '0:200000:65536'];
	await ctr.ok('run', '-d', ...flags, images.busybox, 'mapped', 'sh', '-c', 'touch /mine; id -u; sleep 60');
	const pid = (await ctr.rows('tasks', 'ls'))[0]?.[1];
	// By then the runtime's own init, whose entry of /proc is the host's root's, has become the process.
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'who', 'mapped', 'sh', '-c', 'id -u; id -g; until [ -e /mine ]; do sleep 0.1; done; stat -c %u:%g /mine'), '0\n0\n0:0\n');
	t.regex(await readFile(`/proc/${pid}/uid_map`, 'utf8'), /^\s+0\s+100000\s+65536\n$/v);
	t.deepEqual([(await stat(`/proc/${pid}`)).uid, (await stat(`/proc/${pid}`)).gid], [100_000, 200_000]);
	await until('the file', async () => stat(`/proc/${pid}/root/mine`).then(({uid}) => uid === 100_000));
	await remove(ctr, 'mapped');
	// To a runtime that is not called runc's, ctr 1.6 sends options of the shim before that, which none of today's takes.
}, {pairs: false});

scenario('in a user namespace, layers are shown with its owners and stay as they are', async ({t, ctr, images, daemon}) => {
	await letOthersPass(daemon);
	const flags = ['--remap-labels', '--uidmap', '0:100000:65536', '--gidmap', '0:200000:65536'];
	await ctr.ok('run', '-d', ...flags, images.busybox, 'shown', 'sh', '-c', 'touch /mine; sleep 60');
	const pid = (await ctr.rows('tasks', 'ls'))[0]?.[1];
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'who', 'shown', 'sh', '-c', 'id -u; until [ -e /mine ]; do sleep 0.1; done; stat -c %u:%g /bin/busybox /mine'), '0\n0:0\n0:0\n');
	t.like(await stat(`/proc/${pid}/root/bin/busybox`), {uid: 100_000, gid: 200_000});
	await remove(ctr, 'shown');
	t.is(await ctr.prints('run', '--rm', images.busybox, 'plain', 'stat', '-c', '%u:%g', '/bin/busybox'), '0:0\n');
}, {pairs: false, since: '2.1'});

scenario('a mount may be seen with other owners', async scene => {
	const {t, ctr, daemon} = scene;
	await letOthersPass(daemon);
	// runc 1.1 of Debian 12 has no idmapped mounts.
	for (const name of ['runc', 'crun']) {
		const source = path.join(daemon.scratch, `volume-${ctr.release}-${name}`);
		await mkdir(source, {recursive: true});
		await writeFile(path.join(source, 'file'), 'data');
		const seen = await prints(scene, 'stat -c %u:%g /tmp/file; echo more >>/tmp/file && touch /tmp/new', {
			runtime: path.join(runtimePrograms, name),
			change: spec => {
				const mapping = [{containerID: 0, hostID: 100_000, size: 65_536}];
				spec.linux.namespaces.push({type: 'user'});
				Object.assign(spec.linux, {uidMappings: mapping, gidMappings: mapping});
				// The mapped root may not make a directory in a tree that is not its own.
				spec.mounts = spec.mounts.filter(({destination}) => destination !== '/run');
				spec.mounts.push({destination: '/tmp', type: 'bind', source, options: ['bind', 'rw'], uidMappings: mapping, gidMappings: mapping});
			},
		});
		t.is(seen, '0:0\n', name);
		t.is(await readFile(path.join(source, 'file'), 'utf8'), 'datamore\n');
		t.is((await stat(path.join(source, 'new'))).uid, 0);
	}
}, {until: '1.6'});

scenario('a root file system is read-only, or an overlay that is volatile', async scene => {
	const {t, ctr, images, daemon} = scene;
	using client = clientOf(daemon, ctr);
	await createContainer(client, ctr, images.busybox, {id: 'volatile', args: ['sh', '-c', 'echo written >/file; sleep 60']});
	await createTask(client, 'volatile', {mountOptions: ['volatile']});
	await client.services.tasks.start({containerId: 'volatile'});
	const options = await ctr.prints('tasks', 'exec', '--exec-id', 'look', 'volatile', 'sh', '-c', 'grep " / overlay " /proc/mounts; until [ -s /file ]; do sleep 0.1; done; cat /file');
	t.regex(options, /[,=]volatile[, ][\s\S]*written\n$/v);
	await remove(ctr, 'volatile');
	t.regex(await prints(scene, 'touch /file 2>&1; touch /dev/shm/file && echo but shm', {change: spec => {
		spec.root.readonly = true;
	}}), /Read-only file system\nbut shm\n$/v);
});
