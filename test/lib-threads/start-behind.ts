/** A process that starts a thread behind itself: prints the thread's first priority, and its own afterwards. */

import {once} from 'node:events';
import {getPriority} from 'node:os';
import {startBehind} from '../../lib/threads/quiet-worker.ts';

const worker = startBehind(new URL('./priority-worker.ts', import.meta.url));
const [behind] = await once(worker, 'message') as [number];
console.log(JSON.stringify({own: getPriority(), behind}));
