import {containerd} from '../helpers/containerd-program.ts';
import {dockerSuite} from './docker-suite.ts';

dockerSuite({program: containerd('2.1'), release: '26'});
