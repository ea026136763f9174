import {closeSync, openSync, readFileSync, readSync, watch, writeFileSync} from 'node:fs';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {createEventDescriptor} from '../../../lib/sys/event-descriptor.ts';
import {flatKeyed} from './cgroup-files.ts';
import {isUnified, type ContainerCgroup} from './container-cgroup.ts';

/** Tells when the kernel has killed processes of a container for want of memory: each time, once for all of them. */
export class OomWatch implements Disposable {
	readonly #file: string;
	readonly #told: () => void;
	readonly #stack = new DisposableStack();
	#kills: bigint;

	private constructor(file: string, told: () => void) {
		this.#file = file;
		this.#told = told;
		this.#kills = this.#count();
	}

	/** Undefined where memory is not accounted for the container. */
	static start(cgroup: ContainerCgroup, watcher: DescriptorWatcher, told: () => void): OomWatch | undefined {
		if (isUnified(cgroup)) {
			const oom = new OomWatch(`${cgroup.unified}/memory.events`, told);
			oom.#watchFile();
			return oom;
		}
		const directory = cgroup.controllers.get('memory');
		if (directory === undefined) {
			return undefined;
		}
		const oom = new OomWatch(`${directory}/memory.oom_control`, told);
		oom.#watchEvents(directory, watcher);
		return oom;
	}

	/** Looks now: before the end of a process is told, so that its reason comes first. */
	check(): void {
		const kills = this.#count();
		if (kills > this.#kills) {
			this.#kills = kills;
			this.#told();
		}
	}

	[Symbol.dispose](): void {
		this.#stack.dispose();
	}

	#count(): bigint {
		try {
			return flatKeyed(readFileSync(this.#file, 'utf8'))('oom_kill');
		} catch {
			// The group went away with its container.
			return 0n;
		}
	}

	// cgroup v2: the kernel tells that the file has changed (cgroup-v2.rst, memory.events).
	#watchFile(): void {
		try {
			const watching = watch(this.#file, {persistent: false}, () => this.check());
			watching.on('error', () => undefined);
			this.#stack.defer(() => watching.close());
		} catch {
			// Without the memory controller there is no such file.
		}
	}

	// cgroup v1: an eventfd that is named, with the file, in cgroup.event_control (cgroup-v1/memory.rst, 10. OOM Control).
	#watchEvents(directory: string, watcher: DescriptorWatcher): void {
		const event = createEventDescriptor();
		const ending = new AbortController();
		try {
			const control = openSync(this.#file, 'r');
			try {
				writeFileSync(`${directory}/cgroup.event_control`, `${event} ${control}`);
			} finally {
				closeSync(control);
			}
		} catch {
			// A kernel without v1's events: what init's own end shows must do.
			closeSync(event);
			return;
		}
		this.#stack.defer(() => ending.abort());
		void (async () => {
			try {
				for (;;) {
					await watcher.readable(event, ending.signal);
					readSync(event, Buffer.alloc(8));
					this.check();
				}
			} catch {
				// The container has ended.
			} finally {
				closeSync(event);
			}
		})();
	}
}
