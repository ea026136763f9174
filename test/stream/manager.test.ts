import test from 'ava';
import {streamSuite} from '../../contracts/stream/stream.suite.ts';
import {LocalStreamManager} from '../../plugins/stream-manager/manager.ts';

streamSuite(test, {name: 'stream-manager', create: () => new LocalStreamManager()});
