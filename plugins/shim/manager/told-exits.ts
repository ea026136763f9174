import {TaskExit} from '../../../api/gen/events/task.ts';
import type {Envelope, EventBus} from '../../../contracts/event/event.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';
import {failpoint} from '../protocol/failpoint.ts';
import {recordedProcess, recordTold} from '../protocol/process-record.ts';
import {Bundle, type BundlePlace} from './bundle.ts';

/**
 * Writes into bundles which exits have been passed on, until the signal is aborted. A shim whose daemon dies between taking an exit and
 * saying so asks there before it tells the next daemon: else the exit would be reported twice. `passed` is called after each.
 */
export async function recordToldExits(events: EventBus, place: BundlePlace, {signal, passed}: {readonly signal: AbortSignal; readonly passed: () => void}): Promise<void> {
	while (!signal.aborted) {
		try {
			for await (const envelope of events.subscribe({filters: ['topic=="/tasks/exit"'], signal})) {
				// In the turn in which those who listen are written to: a later one may never come.
				note(place, envelope);
				passed();
			}
		} catch (error) {
			// Cut off for being slow: shims tell again what they must.
			if (!isKeelsonError(error, 'RESOURCE_EXHAUSTED')) {
				throw error;
			}
		}
	}
}

function note(place: BundlePlace, {namespace, event}: Envelope): void {
	// What this daemon publishes itself is a value, and noted where it is published.
	if (!('typeUrl' in event)) {
		return;
	}
	const {containerId, id, pid} = TaskExit.decode(event.value);
	if (containerId === '' || containerId.includes('/') || id.includes('/')) {
		return;
	}
	const {path} = new Bundle(place, namespace, containerId);
	const execId = id === containerId ? '' : id;
	// The id may be another container's by now.
	if (recordedProcess(path, execId)?.pid === pid) {
		recordTold(path, execId, 'exit');
		failpoint('daemon.exit.noted');
	}
}
