import {keelson} from '../helpers/keelson-program.ts';
import {servicesSuite} from './services-suite.ts';

servicesSuite(keelson());
