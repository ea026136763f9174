import {TaskExit} from '../../api/gen/events/task.ts';
import type {Envelope} from '../../contracts/event/event.ts';

export function containerOf({event}: Envelope): string {
	if ('typeUrl' in event) {
		// In each of them the container's id is the first field.
		const [, length = 0] = event.value;
		return Buffer.from(event.value.subarray(2, 2 + length)).toString();
	}
	return 'containerId' in event.value ? event.value.containerId : '';
}

export function idOf(event: {typeUrl: string; value: Uint8Array} | {value: {id: string}}): string {
	return 'typeUrl' in event ? TaskExit.decode(event.value).id : event.value.id;
}
