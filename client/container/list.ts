import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';
import {recordOf, type ContainerRecord} from './container-record.ts';

/** The containers of the namespace that match any of the filters (`id==...`, `labels."a.b"==...`), each with its task. */
export async function listContainers(services: Pick<Services, 'containers' | 'tasks'>, {filters = [], ...call}: CallOptions & {readonly filters?: readonly string[]} = {}): Promise<ContainerRecord[]> {
	const [{containers}, {tasks}] = await Promise.all([services.containers.list({filters}, call), services.tasks.list({}, call)]);
	// A task is listed under its own id, which is the container's.
	const byId = new Map(tasks.map(task => [task.containerId === '' ? task.id : task.containerId, task]));
	return containers.map(container => recordOf(container, byId.get(container.id)));
}
