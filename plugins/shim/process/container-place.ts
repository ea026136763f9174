import type {EventValues} from '../../../contracts/event/event.ts';
import type {Stdio} from '../../../contracts/task/task.ts';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import type {StdioMode} from '../protocol/stdio-mode.ts';
import type {TaskEventType} from '../protocol/task-events.ts';
import type {ContainerOptions} from './container-options.ts';
import type {DepotLink} from './depot-link.ts';
import type {Receipt} from './event-publisher.ts';
import type {IoOpener} from './open-io.ts';
import type {Reaper} from './reaper.ts';

/** What a container needs of the shim around it. */
export interface ContainerPlace {
	readonly namespace: string;
	readonly reaper: Reaper;
	readonly io: IoOpener;
	readonly watcher: DescriptorWatcher;
	/** Where copies go of what must outlive this process. */
	readonly depot: DepotLink;
	/** Sent in this order, and never waits. */
	publish<T extends TaskEventType>(type: T, value: EventValues[T], receipt?: Receipt): void;
	/** Bytes that nobody can act on, for the log. */
	log(message: string): void;
}

export interface ContainerSetup {
	readonly id: string;
	readonly bundle: string;
	readonly stdio: Stdio;
	readonly options: ContainerOptions;
	/** An image to restore from at start; empty: none. */
	readonly checkpoint: string;
	readonly stdioMode: StdioMode;
	/** Hooks run when the container is deleted: that is then left to whoever deletes the task. */
	readonly hasPoststopHooks: boolean;
	/** Its processes are all in a pid namespace that dies with init. */
	readonly hasOwnPidNamespace: boolean;
}
