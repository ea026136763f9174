import test, {type TestFn} from 'ava';
import {sandboxSuite} from '../../contracts/sandbox/sandbox.suite.ts';
import {until} from '../helpers/until.ts';
import {shimOfRelease} from './foreign-shim.ts';
import {ShimSandboxStage} from './sandbox-stage.ts';

const serial = test.serial as TestFn;

sandboxSuite(serial, {name: 'our shim', supports: {states: true, waits: true, metrics: true, singleStart: true}, open: async () => ShimSandboxStage.open('')});
sandboxSuite(serial, {
	name: 'runc\'s shim of containerd 1.7', supports: {states: false, waits: false, metrics: false, singleStart: false}, open: async () => ShimSandboxStage.open(shimOfRelease('1.7')),
});

serial('a sandbox whose shim is stopped keeps nobody for longer than the silence that puts it into quarantine', async t => {
	await using stage = await ShimSandboxStage.open('', {'io.containerd.timeout.shim.load': '3s'});
	const sandboxes = stage.controller.sandboxes(stage.namespace);
	await sandboxes.create({id: 's', runtime: stage.runtime, rootfs: [], netnsPath: '', annotations: {}});
	const {pid} = await sandboxes.start('s');
	const waiting = sandboxes.wait('s');
	process.kill(pid, 'SIGSTOP');
	const began = performance.now();
	try {
		await Promise.all([sandboxes.platform('s'), sandboxes.stop('s', 60_000), sandboxes.start('s')].map(async call => t.throwsAsync(call, {code: 'DEADLINE_EXCEEDED'})));
		t.true(performance.now() - began < 20_000, `${performance.now() - began} ms`);
		// On a busy machine not the first time: what waits for the shim does never.
		await until('calls to be refused at once', async () => {
			const again = performance.now();
			for (const call of [sandboxes.platform('s'), sandboxes.shutdown('s')]) {
				await t.throwsAsync(call, {code: 'DEADLINE_EXCEEDED', message: /quarantine/});
			}
			return performance.now() - again < 1500;
		});
	} finally {
		process.kill(pid, 'SIGCONT');
	}
	await until('it to answer again', async () => sandboxes.platform('s').then(() => true, () => false));
	t.is((await waiting).exitStatus, 0);
	await sandboxes.shutdown('s');
	t.deepEqual(await stage.leftovers('s'), []);
});
