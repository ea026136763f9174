import type {TreeCopy} from '../../contracts/copy/copy.ts';
import type {Differ} from '../../contracts/diff/diff.ts';
import type {Registry} from '../../contracts/fetch/fetch.ts';
import type {Metadata, Scope} from '../../contracts/metadata/metadata.ts';
import type {Platform} from '../../contracts/oci/platform.ts';
import type {TaskManager} from '../../contracts/task/task.ts';
import type {TransferProgress, TransferRequest} from '../../contracts/transfer/transfer.ts';
import type {Downloads} from './downloads.ts';
import type {KeyedMutex} from './keyed-mutex.ts';

export interface Services {
	readonly registry: Registry;
	readonly metadata: Metadata;
	readonly differs: ReadonlyMap<string, Differ>;
	/** For files of containers; without it there are no such transfers. */
	readonly copy: TreeCopy | undefined;
	/** Knows which containers run. */
	readonly tasks: Pick<TaskManager, 'tasks'> | undefined;
}

export interface Settings {
	readonly concurrentDownloads: number;
	readonly concurrentUploads: number;
	readonly concurrentUnpacks: number;
	readonly hostDirectory: string;
	readonly checksPlatform: boolean;
	readonly unpack: readonly {readonly platform?: Platform; readonly snapshotter: string; readonly differ: string}[];
}

/** One transfer under way: everything its steps need, and nothing that outlives it but what transfers share. */
export interface Job extends Services {
	readonly request: TransferRequest;
	readonly settings: Settings;
	readonly scope: Scope;
	/** Work on the same blob or layer is done once, by whoever comes first. */
	readonly locks: KeyedMutex;
	readonly downloads: Downloads;
	report(event: string, name?: string, details?: Partial<Omit<TransferProgress, 'event' | 'name'>>): void;
}

/** The same job, for a part of it that another signal ends. */
export function withSignal(job: Job, signal: AbortSignal): Job {
	return {...job, request: {...job.request, signal}};
}
