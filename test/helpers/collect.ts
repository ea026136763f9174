import {randomBytes} from 'node:crypto';
import type {Ctr} from './ctr.ts';

/**
 * Runs a garbage collection now. containerd collects after a hundred changes at the latest: what a scenario makes and nothing refers to
 * (a view, an ingested blob) stays for the few commands that follow this call.
 */
export async function collect(ctr: Ctr): Promise<void> {
	const id = `collect-${randomBytes(4).toString('hex')}`;
	await ctr.ok('leases', 'create', '--id', id);
	await ctr.ok('leases', 'rm', '--sync', id);
}
