import test from 'ava';
import {diffSuite} from '../../contracts/diff/diff.suite.ts';
import {createDiffer} from '../helpers/tar-differ.ts';

diffSuite(test, {name: 'tar', create: async () => createDiffer('auto')});
diffSuite(test, {name: 'tar, zlib alone', create: async () => createDiffer('builtin')});
