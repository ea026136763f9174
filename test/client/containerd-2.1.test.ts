import {containerd} from '../helpers/containerd-program.ts';
import {clientSuite} from './client-suite.ts';

clientSuite(containerd('2.1'));
