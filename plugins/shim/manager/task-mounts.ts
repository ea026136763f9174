import type {Activations, MountManager} from '../../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../../contracts/oci/mount.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';

interface TaskName {
	readonly namespace: string;
	readonly id: string;
}

/** Root file systems of tasks whose mounts the runtime cannot perform as they are: activated under the container's id, and for as long as there is a task. */
export class TaskMounts {
	readonly #manager: MountManager | undefined;
	readonly #log: Logger;

	constructor(manager: MountManager | undefined, log: Logger) {
		this.#manager = manager;
		this.#log = log;
	}

	/**
	 * Resolves with what is left to the runtime: all of `rootfs`, when there is nothing to activate or nobody to do it. What is made is handed to `half`.
	 * An activation that the container has already is used as it is.
	 */
	async activate({namespace, id}: TaskName, rootfs: readonly Mount[], {half, signal}: {readonly half: AsyncDisposableStack; readonly signal: AbortSignal}): Promise<readonly Mount[]> {
		const activations = this.#manager?.activations({namespace});
		if (activations === undefined || rootfs.length === 0) {
			return rootfs;
		}
		try {
			// The container keeps it from being collected, and takes it along should this daemon be killed before the task is deleted.
			const {system} = await activations.activate({name: id, mounts: rootfs, labels: {'containerd.io/gc.bref.container': id}}, signal);
			half.defer(async () => this.#deactivate(activations, {namespace, id}));
			return system;
		} catch (error) {
			if (isKeelsonError(error, 'UNIMPLEMENTED')) {
				return rootfs;
			}
			if (isKeelsonError(error, 'ALREADY_EXISTS')) {
				return (await activations.info(id)).system;
			}
			throw error;
		}
	}

	/** What cannot go now goes when the container has. */
	async deactivate(task: TaskName): Promise<void> {
		const activations = this.#manager?.activations({namespace: task.namespace});
		if (activations !== undefined) {
			await this.#deactivate(activations, task);
		}
	}

	async #deactivate(activations: Activations, {namespace, id}: TaskName): Promise<void> {
		try {
			await activations.deactivate(id);
		} catch (error) {
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				this.#log.warn('the mounts of a task cannot be deactivated', {namespace, container: id, error});
			}
		}
	}
}
