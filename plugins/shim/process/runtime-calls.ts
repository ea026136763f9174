import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

const patienceMs = 10_000;
const lookMs = 20;

/**
 * Resolves when no call of a runtime for these bundles is at work any more: those that a killed shim has left go on, and are killed when they
 * take too long. Every call is told where to log, which is in its bundle.
 */
export async function endOfRuntimeCalls(bundles: readonly string[]): Promise<void> {
	const logs = new Set(bundles.map(bundle => path.join(bundle, 'log.json')));
	const late = performance.now() + patienceMs;
	for (let pids = await callsOf(logs); pids.length > 0; pids = await callsOf(logs)) {
		if (performance.now() > late) {
			pids.forEach(kill);
		}
		await sleep(lookMs);
	}
}

async function callsOf(logs: ReadonlySet<string>): Promise<readonly number[]> {
	const pids: number[] = [];
	for (const name of await readdir('/proc')) {
		if (/^\d+$/.test(name)) {
			// It may have ended by now; a zombie's is empty.
			const words = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0');
			if (words.some(word => logs.has(word))) {
				pids.push(Number(name));
			}
		}
	}
	return pids;
}

function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It has ended just now.
	}
}
