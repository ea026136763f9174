import path from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {ociRuntimeSuite} from '../../contracts/oci-runtime/oci-runtime.suite.ts';
import {Reaper} from '../../plugins/shim/process/reaper.ts';
import {runtimePrograms} from '../helpers/releases.ts';
import {crunProgram} from './crun-program.ts';
import {CommandLineStage} from './runtime-stage.ts';

const test = anyTest.serial as TestFn;
const reaper = new Reaper();
const crun = await crunProgram(path.join(runtimePrograms, 'crun'));
anyTest.after.always(async () => crun[Symbol.asyncDispose]());

ociRuntimeSuite(test, {name: 'a newer runc', open: async () => CommandLineStage.open(path.join(runtimePrograms, 'runc'), reaper)});
ociRuntimeSuite(test, {name: 'a newer crun', open: async () => CommandLineStage.open(crun.path, reaper)});
