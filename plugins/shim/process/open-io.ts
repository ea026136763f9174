import type {Stdio} from '../../../contracts/task/task.ts';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {DirectIo, type IoOwner} from './direct-io.ts';
import {LoggingBinary} from './logging-binary.ts';
import type {ProcessIo} from './process-io.ts';
import type {Reaper} from './reaper.ts';
import {TerminalIo} from './terminal-io.ts';

/** What a process of this shim opens its streams with. */
export class IoOpener {
	readonly #reaper: Reaper;
	readonly #watcher: DescriptorWatcher;
	/** A directory with a short path, for sockets. */
	readonly #socketDirectory: string;
	#sockets = 0;

	constructor(reaper: Reaper, watcher: DescriptorWatcher, socketDirectory: string) {
		this.#reaper = reaper;
		this.#watcher = watcher;
		this.#socketDirectory = socketDirectory;
	}

	/** Rejects when a stream cannot be opened; then nothing is left open. */
	async open(stdio: Stdio, container: {readonly id: string; readonly namespace: string}, owner: IoOwner): Promise<ProcessIo> {
		const logger = stdio.stdout.startsWith('binary://') ? await LoggingBinary.start(stdio.stdout, container, this.#reaper) : undefined;
		try {
			// One program takes both streams.
			const rest = logger === undefined ? stdio : {...stdio, stdout: '', stderr: ''};
			if (!stdio.terminal) {
				return DirectIo.open(rest, owner, logger);
			}
			this.#sockets++;
			const socketPath = `${this.#socketDirectory}/pty-${process.pid}-${this.#sockets}`;
			return TerminalIo.open(rest, owner, {socketPath, watcher: this.#watcher, logger});
		} catch (error) {
			await logger?.[Symbol.asyncDispose]();
			throw error;
		}
	}
}
