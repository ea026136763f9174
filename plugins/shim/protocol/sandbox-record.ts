import {rmSync} from 'node:fs';
import path from 'node:path';
import {readRecord, replaceRecord} from './record-file.ts';

/** What a shim that takes over must know of a sandbox; kept in its bundle from its creation until it is shut down. */
export interface SandboxRecord {
	readonly createdAt: Date;
	readonly netnsPath: string;
	readonly isStarted: boolean;
	readonly exitedAt: Date | undefined;
}

export function recordSandbox(bundle: string, {createdAt, netnsPath, isStarted, exitedAt}: SandboxRecord): void {
	replaceRecord(fileIn(bundle), {createdAt, netnsPath, isStarted, exitedAt});
}

/** Undefined where no shim of ours has made one, or it was shut down. */
export function recordedSandbox(bundle: string): SandboxRecord | undefined {
	const found = readRecord(fileIn(bundle)) as {createdAt: string; netnsPath: string; isStarted: boolean; exitedAt?: string} | undefined;
	if (found === undefined) {
		return undefined;
	}
	const {createdAt, exitedAt, ...rest} = found;
	return {...rest, createdAt: new Date(createdAt), exitedAt: exitedAt === undefined ? undefined : new Date(exitedAt)};
}

/** It was shut down: nobody is to take it over. */
export function forgetSandbox(bundle: string): void {
	rmSync(fileIn(bundle), {force: true});
}

function fileIn(bundle: string): string {
	return path.join(bundle, 'sandbox.json');
}
