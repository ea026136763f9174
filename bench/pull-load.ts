import {readdir, readFile, readlink} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {Client, credentials} from '@grpc/grpc-js';
import {VersionDefinition} from '../api/gen/services/version/v1/version.ts';
import type {Daemon} from '../test/helpers/daemon.ts';
import {percentile} from './measure.ts';

const EVERY_MS = 10;
// A look at every process takes the processor from what is measured.
const WEIGHED_EVERY_MS = 500;

/** What a daemon takes, and how it answers, while something else is going on. */
export interface Load {
	/** The most that was resident, megabytes: the daemon with all its threads, and the programs that it started (shims, which are ours as well, apart). */
	readonly peakMegabytes: number;
	/** Of a unary call every ten milliseconds. */
	readonly p99Ms: number;
}

export async function loadDuring(daemon: Daemon, work: () => Promise<unknown>): Promise<Load> {
	const client = new Client(`unix:${daemon.places.address}`, credentials.createInsecure(), {'grpc.default_authority': 'localhost'});
	// To connect is no call.
	await version(client);
	const latencies: number[] = [];
	let peakKilobytes = 0;
	let programsKilobytes = 0;
	const over = new AbortController();
	const watch = (async () => {
		while (!over.signal.aborted) {
			peakKilobytes = Math.max(peakKilobytes, await resident(String(daemon.pid)) + programsKilobytes);
			const began = performance.now();
			await version(client);
			latencies.push(performance.now() - began);
			await sleep(EVERY_MS);
		}
	})();
	const weigh = (async () => {
		while (!over.signal.aborted) {
			programsKilobytes = await residentOfPrograms(daemon.pid);
			await sleep(WEIGHED_EVERY_MS);
		}
	})();
	try {
		await work();
	} finally {
		over.abort();
		await Promise.all([watch, weigh]);
		client.close();
	}
	return {peakMegabytes: peakKilobytes / 1024, p99Ms: percentile(latencies, 0.99)};
}

/** Kilobytes. A child that is still what the daemon is has not begun yet, or is a shim. */
async function residentOfPrograms(pid: number): Promise<number> {
	const own = await readlink(`/proc/${pid}/exe`);
	let sum = 0;
	for (const other of await readdir('/proc')) {
		const isChild = /^\d+$/.test(other) && (await readFile(`/proc/${other}/status`, 'utf8').catch(() => '')).includes(`\nPPid:\t${pid}\n`);
		if (isChild && await readlink(`/proc/${other}/exe`).catch(() => own) !== own) {
			sum += await resident(other);
		}
	}
	return sum;
}

async function resident(pid: string): Promise<number> {
	return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1] ?? 0);
}

async function version(client: Client): Promise<void> {
	const {version: method} = VersionDefinition.methods;
	await new Promise<void>((resolve, reject) => {
		client.makeUnaryRequest(`/${VersionDefinition.fullName}/${method.name}`, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes, Buffer.alloc(0), error => {
			if (error === null) {
				resolve();
			} else {
				reject(error);
			}
		});
	});
}
