/** The thread where blobs are hashed and written: nothing here runs on the daemon's event loop. */

import {constants, setPriority} from 'node:os';
import {parentPort} from 'node:worker_threads';
import {OpenIngests, type IngestRequest} from './open-ingests.ts';

const ingests = new OpenIngests();

// On Linux that is this thread alone: calls of clients go before bytes.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

parentPort?.on('message', (request: IngestRequest) => {
	parentPort?.postMessage(ingests.reply(request));
});
