import test from 'ava';
import {networkSuite} from '../../contracts/network/network.suite.ts';
import {NoNetwork} from '../../plugins/network-none/no-network.ts';

networkSuite(test, {name: 'network-none', create: () => new NoNetwork()});
