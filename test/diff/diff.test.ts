import test from 'ava';
import {diffSuite} from '../../contracts/diff/diff.suite.ts';
import {createDiffer} from '../helpers/tar-differ.ts';

diffSuite(test.serial, {name: 'tar', create: async () => createDiffer('auto')});
diffSuite(test.serial, {name: 'tar, zlib alone', create: async () => createDiffer('builtin')});
