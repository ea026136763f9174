import {closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import type {ProcessExit, Stdio} from '../../../contracts/task/task.ts';
import {readRecord, replaceRecord} from './record-file.ts';

/** What a shim that takes over must know of a process of a container; kept in the bundle. Files of init are named `init.*`, of an exec `exec-<id>.*`. */
export interface ProcessRecord {
	/** 0 for an exec that was not started, and for an init that a checkpoint is still to be restored as. */
	readonly pid: number;
	/** With the pid it names the process for good; 0 where it was not known. */
	readonly startTime: number;
	readonly stdio: Stdio;
	/** The client has closed standard input: nobody keeps it open from then on. */
	readonly isStdinClosed: boolean;
	/** Of an init that was not started: the image to restore it from. */
	readonly checkpoint?: string;
}

/** Says of a bundle that its shim writes down what it makes and tells, as shims of older builds did not. Before anything is made. */
export function beginRecords(bundle: string): void {
	writeFileSync(path.join(bundle, 'records'), '1\n', {mode: 0o600});
}

export function keepsRecords(bundle: string): boolean {
	return existsSync(path.join(bundle, 'records'));
}

/** What the daemon has been told of a process. */
export type Told = 'create' | 'start' | 'exit';

export function recordProcess(bundle: string, execId: string, record: ProcessRecord): void {
	replaceRecord(fileOf(bundle, execId, 'process'), record);
}

/** Undefined where no shim of ours made the process. */
export function recordedProcess(bundle: string, execId: string): ProcessRecord | undefined {
	return readRecord(fileOf(bundle, execId, 'process')) as ProcessRecord | undefined;
}

/** Ids of the execs that a bundle has records of. */
export function recordedExecs(bundle: string): readonly string[] {
	const found = readdirSync(bundle).map(name => /^exec-(.+)\.process$/.exec(name)?.[1]);
	return found.filter(id => id !== undefined);
}

/** An id may be used again once its exec is deleted. */
export function forgetExec(bundle: string, execId: string): void {
	for (const suffix of ['json', 'pid', 'process', 'exit', 'start.told', 'exit.told']) {
		rmSync(fileOf(bundle, execId, suffix), {force: true});
	}
}

/** Writes how a process ended into its bundle, for those who come when this shim is gone. */
export function recordExit(bundle: string, execId: string, {pid, exitStatus, exitedAt}: ProcessExit): void {
	replaceRecord(fileOf(bundle, execId, 'exit'), {pid, exitStatus, exitedAt: exitedAt.toISOString()});
}

/** What `recordExit` wrote; undefined when the process did not end while a shim was there. */
export function recordedExit(bundle: string, execId: string): ProcessExit | undefined {
	const exit = readRecord(fileOf(bundle, execId, 'exit')) as {pid: number; exitStatus: number; exitedAt: string} | undefined;
	return exit === undefined ? undefined : {...exit, exitedAt: new Date(exit.exitedAt)};
}

/** The daemon has been told of it: nobody needs to tell it again. */
export function recordTold(bundle: string, execId: string, what: Told): void {
	try {
		// An exec that was deleted meanwhile has none; one that is deleted just now, by another process, loses this file or its record first.
		if (existsSync(fileOf(bundle, execId, 'process'))) {
			closeSync(openSync(fileOf(bundle, execId, `${what}.told`), 'w', 0o600));
			if (!existsSync(fileOf(bundle, execId, 'process'))) {
				rmSync(fileOf(bundle, execId, `${what}.told`), {force: true});
			}
		}
	} catch {
		// The bundle is gone by now, and with it all need to know.
	}
}

export function isTold(bundle: string, execId: string, what: Told): boolean {
	try {
		closeSync(openSync(fileOf(bundle, execId, `${what}.told`), 'r'));
		return true;
	} catch {
		return false;
	}
}

/** The pid that the runtime wrote; 0 when there is none. */
export function recordedPid(bundle: string, execId: string): number {
	try {
		return Number.parseInt(readFileSync(fileOf(bundle, execId, 'pid'), 'utf8'), 10) || 0;
	} catch {
		return 0;
	}
}

function fileOf(bundle: string, execId: string, suffix: string): string {
	return path.join(bundle, `${execId === '' ? 'init' : `exec-${execId}`}.${suffix}`);
}
