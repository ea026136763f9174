import {KeelsonError} from '../../../kernel/errors.ts';
import type {Task} from './task.ts';

/** The tasks of all namespaces, and the ids that are being made. */
export class TaskRegistry {
	readonly #tasks = new Map<string, Task>();
	readonly #reserved = new Set<string>();

	/** Throws NOT_FOUND, in containerd's words, which ctr puts its own before. */
	get(namespace: string, id: string): Task {
		const task = this.#tasks.get(keyOf(namespace, id));
		if (task === undefined) {
			throw new KeelsonError('NOT_FOUND', `task ${id} not found`);
		}
		return task;
	}

	all(): readonly Task[] {
		return [...this.#tasks.values()];
	}

	list(namespace: string): readonly Task[] {
		return [...this.#tasks.values()].filter(task => task.namespace === namespace);
	}

	/** Holds an id until the result is disposed, or a task of it is added. Throws ALREADY_EXISTS. */
	reserve(namespace: string, id: string): Disposable {
		const key = keyOf(namespace, id);
		if (this.#tasks.has(key) || this.#reserved.has(key)) {
			throw new KeelsonError('ALREADY_EXISTS', `task ${id}: already exists`);
		}
		this.#reserved.add(key);
		return {[Symbol.dispose]: () => void this.#reserved.delete(key)};
	}

	add(task: Task): void {
		this.#tasks.set(keyOf(task.namespace, task.id), task);
	}

	remove(task: Task): void {
		const key = keyOf(task.namespace, task.id);
		if (this.#tasks.get(key) === task) {
			this.#tasks.delete(key);
		}
	}
}

// Neither has a slash in it.
function keyOf(namespace: string, id: string): string {
	return `${namespace}/${id}`;
}
