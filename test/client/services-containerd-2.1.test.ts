import {containerd} from '../helpers/containerd-program.ts';
import {servicesSuite} from './services-suite.ts';

servicesSuite(containerd('2.1'), '2.1');
