import {containerd} from '../helpers/containerd-program.ts';
import {clientSuite} from './client-suite.ts';

// 1.6 has no Transfer service: its own client pulls.
clientSuite(containerd('1.6'), {pullsWith: '1.6'});
