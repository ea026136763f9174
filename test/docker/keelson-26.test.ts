import {keelson} from '../helpers/keelson-program.ts';
import {dockerSuite} from './docker-suite.ts';

dockerSuite({program: keelson(), release: '26'});
