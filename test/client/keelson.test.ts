import {keelson} from '../helpers/keelson-program.ts';
import {clientSuite} from './client-suite.ts';

clientSuite(keelson());
