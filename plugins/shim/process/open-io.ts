import type {Stdio} from '../../../contracts/task/task.ts';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {DirectIo, type Adopted, type StdioPolicy} from './direct-io.ts';
import type {DropCount} from './drop-count.ts';
import {isLoggingUri, LoggingBinary} from './logging-binary.ts';
import type {IoOwner} from './open-output.ts';
import type {ProcessIo} from './process-io.ts';
import type {Reaper} from './reaper.ts';
import type {StdioMode} from '../protocol/stdio-mode.ts';
import {TerminalIo} from './terminal-io.ts';

export interface IoPlace {
	readonly reaper: Reaper;
	readonly watcher: DescriptorWatcher;
	/** A directory with a short path, for sockets. */
	readonly socketDirectory: string;
	/** What buffered output keeps at most of a stream. */
	readonly bufferBytes: number;
}

/** Whose streams they are, and how they are to be. */
export interface IoRequest {
	readonly id: string;
	readonly namespace: string;
	readonly execId: string;
	readonly mode: StdioMode;
	readonly owner: IoOwner;
	/** The process comes from a checkpoint. */
	readonly isRestored: boolean;
	readonly drops: DropCount;
}

/** What a process of this shim opens its streams with. */
export class IoOpener {
	readonly #place: IoPlace;
	#sockets = 0;

	constructor(place: IoPlace) {
		this.#place = place;
	}

	/** Rejects when a stream cannot be opened; then nothing is left open. */
	async open(stdio: Stdio, request: IoRequest): Promise<ProcessIo> {
		const {reaper, watcher, socketDirectory} = this.#place;
		const logger = isLoggingUri(stdio.stdout) ? await LoggingBinary.start(stdio.stdout, request, reaper) : undefined;
		try {
			// One program takes both streams.
			const rest = logger === undefined ? stdio : {...stdio, stdout: '', stderr: ''};
			const policy = this.#policy(request);
			if (!stdio.terminal) {
				return DirectIo.open(rest, policy, logger);
			}
			this.#sockets++;
			return TerminalIo.open(rest, policy, {socketPath: `${socketDirectory}/pty-${process.pid}-${this.#sockets}`, watcher, logger});
		} catch (error) {
			await logger?.[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Takes up the streams of a process whose shim is gone. Rejects when a logging program cannot be started again. */
	async adopt(stdio: Stdio, request: IoRequest, adopted: Adopted): Promise<ProcessIo> {
		const policy = this.#policy(request);
		if (!stdio.terminal) {
			return DirectIo.adopt(stdio, policy, adopted);
		}
		// Its pipe ended with the shim, and so did it.
		const logger = isLoggingUri(stdio.stdout) ? await LoggingBinary.start(stdio.stdout, request, this.#place.reaper) : undefined;
		return TerminalIo.adopt(logger === undefined ? stdio : {...stdio, stdout: '', stderr: ''}, policy, adopted, logger);
	}

	#policy({mode, owner, isRestored, id, execId, drops}: IoRequest): StdioPolicy {
		const {bufferBytes} = this.#place;
		return {mode, owner, isRestored, pump: stream => {
			const name = `${stream} of ${execId === '' ? id : `${id}/${execId}`}`;
			return {bufferBytes: mode === 'buffered' ? bufferBytes : 0, dropped: bytes => drops.add(name, bytes), ended: () => drops.tell(name)};
		}};
	}
}
