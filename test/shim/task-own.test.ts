import test from 'ava';
import {taskSuite} from '../../contracts/task/task.suite.ts';
import {ShimStage} from './task-stage.ts';

taskSuite(test.serial as typeof test, {name: 'our shim', open: async () => ShimStage.open()});
