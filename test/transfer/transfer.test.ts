import test from 'ava';
import {transferSuite} from '../../contracts/transfer/transfer.suite.ts';
import {createHouse} from './house.ts';

transferSuite(test, {name: 'transfer-local', snapshotter: 'overlayfs', create: createHouse});
