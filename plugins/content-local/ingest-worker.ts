/** The thread where blobs are hashed and written: nothing here runs on the daemon's event loop. */

import {parentPort} from 'node:worker_threads';
import {stayBehind} from '../../lib/threads/quiet-worker.ts';
import {OpenIngests, type IngestRequest} from './open-ingests.ts';

const ingests = new OpenIngests();

// Calls of clients go before bytes.
stayBehind();

parentPort?.on('message', (request: IngestRequest) => {
	parentPort?.postMessage(ingests.reply(request));
});
