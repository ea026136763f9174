import anyTest, {type TestFn} from 'ava';
import {ociRuntimeSuite} from '../../contracts/oci-runtime/oci-runtime.suite.ts';
import {Reaper} from '../../plugins/shim/process/reaper.ts';
import {crunProgram} from './crun-program.ts';
import {CommandLineStage} from './runtime-stage.ts';

const reaper = new Reaper();
const crun = await crunProgram('crun');
anyTest.after.always(async () => crun[Symbol.asyncDispose]());

ociRuntimeSuite(anyTest.serial as TestFn, {name: 'crun', open: async () => CommandLineStage.open(crun.path, reaper)});
