import {flushCompileCache} from 'node:module';
import {chdir, cwd} from 'node:process';
import {closeSync, openSync, readFileSync, writeFileSync, writeSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {isatty} from 'node:tty';
import path from 'node:path';
import type {OciRuntimes} from '../../../contracts/oci-runtime/oci-runtime.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';
import {nameThread} from '../../../lib/sys/process.ts';
import {shimSocketPath} from '../protocol/shim-socket.ts';
import {readInput} from './read-input.ts';
import {Reaper} from './reaper.ts';
import {expectNames, parseShimArguments, type ShimArguments} from './shim-arguments.ts';
import {groupOf} from './shim-group.ts';

/** Runs a program to its end; the shim's own way, since it reaps all its children itself. */
export type Run = Reaper['run'];

export interface ShimProgram {
	readonly name: string;
	readonly version: string;
	readonly runtimes: (run: Run) => OciRuntimes;
	readonly words: readonly string[];
}

/** What the shim's binary does, by containerd's protocol for them. Rejects with what is to be printed on standard error. */
export async function runShim(program: ShimProgram): Promise<void> {
	const shimArguments = parseShimArguments(program.words, process.env);
	switch (shimArguments.action) {
		case 'version':
			writeSync(1, `${program.name}:\n  Version:  ${program.version}\n`);
			return;
		case 'start':
			return start(program, await completed(shimArguments));
		case 'spare':
			return spare(program, shimArguments);
		case 'delete': {
			expectNames(shimArguments);
			using reaper = new Reaper();
			const {deleteContainer} = await import('./delete.ts');
			writeSync(1, await deleteContainer(shimArguments, shimArguments.bundle || cwd(), program.runtimes(reaper.run.bind(reaper))));
			return;
		}
		case 'info': {
			using reaper = new Reaper();
			const {describeRuntime} = await import('./info.ts');
			const scratch = await mkdtemp(path.join(tmpdir(), 'keelson-shim-'));
			try {
				writeSync(1, await describeRuntime(readInput(), program.runtimes(reaper.run.bind(reaper)), {...program, scratch}));
			} finally {
				await rm(scratch, {recursive: true, force: true});
			}
		}
	}
}

// The launcher has put us into a session of our own; it and the daemon wait for standard output to end.
async function start(program: ShimProgram, shimArguments: ShimArguments): Promise<void> {
	expectNames(shimArguments);
	const {address, namespace, id, socketDirectory} = shimArguments;
	const bundle = cwd();
	const socketPath = path.join(socketDirectory, path.basename(shimSocketPath(address, namespace, groupOf(bundle) ?? id)));
	const text = await answerOf(shimArguments, `unix://${socketPath}`);
	const answer = (): void => {
		// Where containerd 1.6 looks for us when it starts again; later ones write their own file.
		if (shimArguments.answer !== 'bootstrap') {
			writeFileSync(path.join(bundle, 'address'), `unix://${socketPath}`, {mode: 0o600});
		}
		writeSync(1, text);
		detach();
	};
	nameThread('keelson-shim');
	scoreForMemory();
	const {serve} = await import('./serve.ts');
	try {
		await serve({
			arguments: shimArguments, socketPath, bundle, runtimes: reaper => program.runtimes(reaper.run.bind(reaper)),
			listening: () => {
				answer();
				settle();
			},
		});
	} catch (error) {
		if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
			throw error;
		}
		// The group's shim is there already.
		answer();
	}
	process.exit(0);
}

async function spare(program: ShimProgram, shimArguments: ShimArguments): Promise<void> {
	nameThread('keelson-shim');
	scoreForMemory();
	const {waitAsSpare} = await import('./spare.ts');
	await waitAsSpare({
		arguments: shimArguments, program: `${program.name} ${program.version}`, runtimes: reaper => program.runtimes(reaper.run.bind(reaper)),
		listening: socketPath => {
			writeSync(1, `unix://${socketPath}`);
			detach();
			settle();
		},
	});
	process.exit(0);
}

function settle(): void {
	// A directory that goes away with its container is no place to stay in.
	chdir('/');
	// Node would write its cache when this process ends: every shim until then would compile all over again.
	setImmediate(flushCompileCache);
}

// What most daemons say there is nothing, or options that come again with the container.
async function completed(flags: ShimArguments): Promise<ShimArguments> {
	const input = isatty(0) ? Buffer.alloc(0) : readInput();
	if (input.length === 0) {
		return flags;
	}
	const {withBootstrap} = await import('./bootstrap.ts');
	return withBootstrap(flags, input) ?? flags;
}

async function answerOf({answer, versionMax}: ShimArguments, address: string): Promise<Buffer> {
	switch (answer) {
		case 'address':
			return Buffer.from(address);
		case 'json':
			return Buffer.from(JSON.stringify({version: Math.min(versionMax, 3), address, protocol: 'ttrpc'}));
		case 'bootstrap': {
			const {bootstrapAnswer} = await import('./bootstrap.ts');
			return Buffer.from(bootstrapAnswer(address));
		}
	}
}

function detach(): void {
	for (const fd of [0, 1, 2]) {
		closeSync(fd);
		// The lowest number that is free: the one just closed.
		openSync('/dev/null', 'r+');
	}
}

// After the containers' own processes, but before the daemon.
function scoreForMemory(): void {
	try {
		const score = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
		writeFileSync('/proc/self/oom_score_adj', String(Math.min(score + 1, 1000)));
	} catch {
		// Not ours to change here; the kernel then goes by size alone.
	}
}
