import test from 'ava';
import {taskSuite} from '../../contracts/task/task.suite.ts';
import {ShimStage} from './task-stage.ts';

taskSuite(test.serial as typeof test, {name: 'Debian\'s containerd-shim-runc-v2', open: async () => ShimStage.open({runtime: '/usr/bin/containerd-shim-runc-v2'})});
