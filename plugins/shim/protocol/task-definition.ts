import {TaskDefinition} from '../../../api/gen/runtime/task/v3/shim.ts';

/** The task service, third version. */
export const taskV3 = TaskDefinition;

/** The second has the same messages under another name, which the generated type knows nothing of. */
export const taskV2: TaskDefinition = {...TaskDefinition, fullName: 'containerd.task.v2.Task' as never};
