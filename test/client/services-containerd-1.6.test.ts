import {containerd} from '../helpers/containerd-program.ts';
import {servicesSuite} from './services-suite.ts';

servicesSuite(containerd('1.6'), '1.6');
