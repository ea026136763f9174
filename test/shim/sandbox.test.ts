import test, {type TestFn} from 'ava';
import {sandboxSuite} from '../../contracts/sandbox/sandbox.suite.ts';
import {shimOfRelease} from './foreign-shim.ts';
import {ShimSandboxStage} from './sandbox-stage.ts';

const serial = test.serial as TestFn;

sandboxSuite(serial, {name: 'our shim', supports: {states: true, waits: true, metrics: true, singleStart: true}, open: async () => ShimSandboxStage.open('')});
sandboxSuite(serial, {
	name: 'runc\'s shim of containerd 1.7', supports: {states: false, waits: false, metrics: false, singleStart: false}, open: async () => ShimSandboxStage.open(shimOfRelease('1.7')),
});
