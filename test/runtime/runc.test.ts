import anyTest, {type TestFn} from 'ava';
import {ociRuntimeSuite} from '../../contracts/oci-runtime/oci-runtime.suite.ts';
import {Reaper} from '../../plugins/shim/process/reaper.ts';
import {CommandLineStage} from './runtime-stage.ts';

const reaper = new Reaper();

ociRuntimeSuite(anyTest.serial as TestFn, {name: 'runc', open: async () => CommandLineStage.open('runc', reaper)});
