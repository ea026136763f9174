/** Says with which priority it began. */

import {getPriority} from 'node:os';
import {parentPort} from 'node:worker_threads';

parentPort?.postMessage(getPriority());
