import {readFile} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {Client, credentials} from '@grpc/grpc-js';
import {VersionDefinition} from '../api/gen/services/version/v1/version.ts';
import type {Daemon} from '../test/helpers/daemon.ts';
import {percentile} from './measure.ts';

const EVERY_MS = 10;

/** What a daemon takes, and how it answers, while something else is going on. */
export interface Load {
	/** The most that was resident, megabytes: the daemon with all its threads. */
	readonly peakMegabytes: number;
	/** Of a unary call every ten milliseconds. */
	readonly p99Ms: number;
}

export async function loadDuring(daemon: Daemon, work: () => Promise<unknown>): Promise<Load> {
	const client = new Client(`unix:${daemon.places.address}`, credentials.createInsecure(), {'grpc.default_authority': 'localhost'});
	const latencies: number[] = [];
	let peakKilobytes = 0;
	const over = new AbortController();
	const watch = (async () => {
		while (!over.signal.aborted) {
			const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8');
			peakKilobytes = Math.max(peakKilobytes, Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0));
			const began = performance.now();
			await version(client);
			latencies.push(performance.now() - began);
			await sleep(EVERY_MS);
		}
	})();
	try {
		await work();
	} finally {
		over.abort();
		await watch;
		client.close();
	}
	return {peakMegabytes: peakKilobytes / 1024, p99Ms: percentile(latencies, 0.99)};
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
