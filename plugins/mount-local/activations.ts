import type {ActivateMounts, Activation, Activations, ActiveMount} from '../../contracts/mount-manager/mount-manager.ts';
import {checkLabels} from '../../contracts/oci/labels.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import type {LocalMountManager} from './manager.ts';
import {planActivation, type ActivationPlan} from './plan.ts';
import {activationOf, type ActivationRecord} from './records.ts';
import type {TargetDirectory} from './target-directory.ts';
import {transform} from './transform.ts';

const nameBytesMax = 1024;

/** The activations of one namespace. Cheap to make. */
export class NamespaceActivations implements Activations {
	readonly #manager: LocalMountManager;
	readonly #namespace: string;
	readonly #lease: string | undefined;

	constructor(manager: LocalMountManager, namespace: string, lease: string | undefined) {
		this.#manager = manager;
		this.#namespace = namespace;
		this.#lease = lease;
	}

	async activate({name, mounts, labels = {}, isTemporary = false}: ActivateMounts, signal: AbortSignal = new AbortController().signal): Promise<Activation> {
		// Before anything is touched: nearly always there is nothing to do.
		const plan = planActivation(mounts, {isTemporary, hasHandler: type => this.#manager.handlers.has(type)});
		if (plan === undefined) {
			throw new KeelsonError('UNIMPLEMENTED', `activation ${JSON.stringify(name)}: none of the ${mounts.length} mounts is for the mount manager, the runtime performs them as they are`);
		}
		checkName(name);
		checkLabels(labels);
		const {records} = this.#manager;
		using _lock = await this.#manager.lock(this.#namespace, name);
		signal.throwIfAborted();
		await this.#requireLease();
		await this.#makeRoomFor(name);
		const number = records.begin({namespace: this.#namespace, name, lease: this.#lease, labels});
		if (number === undefined) {
			throw alreadyExists(name);
		}
		const directory = this.#manager.directoryOf(number);
		try {
			await directory.create();
			const {active, system} = await this.#perform(plan, directory, {isTemporary, signal});
			records.complete(number, active, system);
			return {name, active, system, labels};
		} catch (error) {
			await this.#takeBack(number, directory);
			// That code means that there was nothing to do.
			throw isKeelsonError(error, 'UNIMPLEMENTED') ? new KeelsonError('FAILED_PRECONDITION', error.message, {cause: error}) : error;
		}
	}

	async deactivate(name: string): Promise<void> {
		const {records} = this.#manager;
		using _lock = await this.#manager.lock(this.#namespace, name);
		const record = records.find(this.#namespace, name);
		if (record === undefined) {
			throw notFound(name);
		}
		await this.#manager.finish(record, () => {
			records.leave(record.number);
		});
	}

	async info(name: string): Promise<Activation> {
		const record = this.#manager.records.find(this.#namespace, name);
		if (record?.state !== 'active') {
			throw notFound(name);
		}
		return activationOf(record);
	}

	async list(filters: readonly string[] = []): Promise<readonly Activation[]> {
		const matches = compileFilters(filters);
		return this.#manager.records.in(this.#namespace).filter(record => record.state === 'active' && matches(fieldOf(record))).map(record => activationOf(record));
	}

	async #requireLease(): Promise<void> {
		if (this.#lease !== undefined) {
			await this.#manager.metadata.scope({namespace: this.#namespace}).leases.resources(this.#lease);
		}
	}

	// One that is being undone and could not be at once is not in the way for good.
	async #makeRoomFor(name: string): Promise<void> {
		const record = this.#manager.records.find(this.#namespace, name);
		if (record?.state === 'active') {
			throw alreadyExists(name);
		}
		if (record !== undefined) {
			await this.#manager.finish(record);
		}
	}

	async #perform({performed, system}: ActivationPlan, directory: TargetDirectory, {isTemporary, signal}: {readonly isTemporary: boolean; readonly signal: AbortSignal}): Promise<Pick<Activation, 'active' | 'system'>> {
		const {limits} = this.#manager;
		const active: ActiveMount[] = [];
		for (const [index, planned] of performed.entries()) {
			signal.throwIfAborted();
			active.push(await directory.perform(await transform(planned, active, limits, signal), index, signal));
		}
		const left: Mount[] = [];
		for (const planned of system) {
			left.push(await transform(planned, active, limits, signal));
		}
		const last = active.at(-1);
		if (isTemporary && last !== undefined) {
			left.push({type: 'bind', source: last.mountPoint, target: '', options: ['rbind']});
		}
		return {active, system: left};
	}

	// What is in use after all, and cannot be undone, goes with a later collection.
	async #takeBack(number: number, directory: TargetDirectory): Promise<void> {
		const {records} = this.#manager;
		records.leave(number);
		try {
			await directory.undo();
			records.remove(number);
		} catch {
			// The failure that led here is the one to tell.
		}
	}
}

function checkName(name: string): void {
	const bytes = Buffer.byteLength(name);
	if (bytes === 0 || bytes > nameBytesMax || name.includes('\0')) {
		throw new KeelsonError('INVALID_ARGUMENT', `the name of an activation has ${bytes} bytes, expected 1 to ${nameBytesMax}, none of them NUL`);
	}
}

function fieldOf({name, labels}: ActivationRecord): (path: readonly string[]) => string | undefined {
	return ([field, key = '']) => field === 'name' ? name : field === 'labels' && Object.hasOwn(labels, key) ? labels[key] : undefined;
}

function alreadyExists(name: string): KeelsonError {
	return new KeelsonError('ALREADY_EXISTS', `activation ${JSON.stringify(name)}: already exists`);
}

function notFound(name: string): KeelsonError {
	return new KeelsonError('NOT_FOUND', `activation ${JSON.stringify(name)}: not found`);
}
