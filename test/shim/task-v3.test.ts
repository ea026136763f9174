import test from 'ava';
import {taskSuite} from '../../contracts/task/task.suite.ts';
import {shimOfRelease} from './foreign-shim.ts';
import {ShimStage} from './task-stage.ts';

taskSuite(test.serial as typeof test, {name: 'containerd-shim-runc-v2 of containerd 2.1', open: async () => ShimStage.open({runtime: shimOfRelease('2.1')})});
