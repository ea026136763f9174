import {readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';

/** What a shim that takes over must know of a sandbox; kept in its bundle from its creation until it is shut down. */
export interface SandboxRecord {
	readonly createdAt: Date;
	readonly netnsPath: string;
	readonly isStarted: boolean;
	readonly exitedAt: Date | undefined;
}

export function recordSandbox(bundle: string, {createdAt, netnsPath, isStarted, exitedAt}: SandboxRecord): void {
	const file = fileIn(bundle);
	writeFileSync(`${file}.new`, JSON.stringify({createdAt, netnsPath, isStarted, exitedAt}), {mode: 0o600});
	renameSync(`${file}.new`, file);
}

/** Undefined where no shim of ours has made one, or it was shut down. */
export function recordedSandbox(bundle: string): SandboxRecord | undefined {
	try {
		const {createdAt, netnsPath, isStarted, exitedAt} = JSON.parse(readFileSync(fileIn(bundle), 'utf8')) as {createdAt: string; netnsPath: string; isStarted: boolean; exitedAt?: string};
		return {netnsPath, isStarted, createdAt: new Date(createdAt), exitedAt: exitedAt === undefined ? undefined : new Date(exitedAt)};
	} catch {
		return undefined;
	}
}

/** It was shut down: nobody is to take it over. */
export function forgetSandbox(bundle: string): void {
	rmSync(fileIn(bundle), {force: true});
}

function fileIn(bundle: string): string {
	return path.join(bundle, 'sandbox.json');
}
