import {rmSync, statSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {accepts} from '../../../lib/listen/accepts.ts';
import type {ShimAddress} from './bundle.ts';

/** A process that is killed closes what it listens at milliseconds after its connections, or later on a busy machine. */
const closingMs: readonly number[] = [0, 5, 25, 100, 400];

/** Whether nobody listens at a shim's address, or no longer does half a second from now. Never rejects. */
export async function isDeserted(address: Pick<ShimAddress, 'address'>): Promise<boolean> {
	for (const milliseconds of closingMs) {
		await sleep(milliseconds);
		if (!await accepts(pathOf(address))) {
			return true;
		}
	}
	return false;
}

/** Takes away the socket of a shim that was killed, which leaves it behind; not one that somebody listens at, nor what is no socket. Never rejects. */
export async function removeDeadSocket(address: Pick<ShimAddress, 'address'>): Promise<void> {
	const path = pathOf(address);
	const asked = socketAt(path);
	if (asked === undefined || !await isDeserted(address)) {
		return;
	}
	// In one turn, and only if it is still the one that was asked: the next shim of a group may have come to listen there meanwhile.
	if (socketAt(path) === asked) {
		try {
			rmSync(path, {force: true});
		} catch {
			// Whoever comes next replaces it.
		}
	}
}

function pathOf({address}: Pick<ShimAddress, 'address'>): string {
	return address.replace(/^unix:\/\//, '');
}

/** Which socket it is: numbers of inodes are used again. */
function socketAt(path: string): string | undefined {
	try {
		const found = statSync(path, {bigint: true});
		return found.isSocket() ? `${found.ino} ${found.ctimeNs}` : undefined;
	} catch {
		return undefined;
	}
}
