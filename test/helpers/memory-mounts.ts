import type {CollectibleItem, CollectibleResource} from '../../contracts/metadata/collectible.ts';
import type {ActivateMounts, Activation, Activations, ActiveMount, MountManager} from '../../contracts/mount-manager/mount-manager.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import {checkLabels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import {planActivation} from '../../plugins/mount-local/plan.ts';
import {fillIn} from '../../plugins/mount-local/template.ts';

interface Held {
	readonly activation: Activation;
	readonly namespace: string;
	readonly lease: string | undefined;
	/** Mount points that are still there, the newest last. */
	readonly points: string[];
	isLeaving: boolean;
}

/** The contract in memory: mount points are words. What has the type `broken` cannot be mounted. */
export class MemoryMountManager implements MountManager, CollectibleResource {
	readonly kind = 'mount';
	readonly leases = new Set<string>();
	/** Mount points in use. */
	readonly used = new Set<string>();
	readonly #held = new Map<string, Held>();
	#count = 0;

	activations({namespace, lease}: {readonly namespace: string; readonly lease?: string}): Activations {
		parseIdentifier(namespace, 'namespace');
		const key = (name: string): string => `${namespace}/${name}`;
		const shown = (name: string): Held => {
			const held = this.#held.get(key(name));
			if (held === undefined || held.isLeaving) {
				throw notFound(name);
			}
			return held;
		};
		return {
			activate: async (request, signal) => {
				const activation = this.#activate(request, {key: key(request.name), namespace, lease, signal});
				return activation;
			},
			deactivate: async name => {
				const held = this.#held.get(key(name));
				if (held === undefined) {
					throw notFound(name);
				}
				this.#undo(key(name), held);
			},
			info: async name => shown(name).activation,
			list: async (filters = []) => {
				const matches = compileFilters(filters);
				return [...this.#held.values()].filter(held => held.namespace === namespace && !held.isLeaving).map(({activation}) => activation)
					.filter(({name, labels}) => matches(([field, label = '']) => field === 'name' ? name : field === 'labels' ? labels[label] : undefined))
					.toSorted((a, b) => a.name < b.name ? -1 : 1);
			},
		};
	}

	list(): readonly CollectibleItem[] {
		return [...this.#held.values()].filter(({isLeaving}) => !isLeaving).map(held => ({
			namespace: held.namespace, id: held.activation.name, labels: held.activation.labels, lease: held.lease,
			condemn: () => {
				held.isLeaving = true;
			},
		}));
	}

	async sweep(): Promise<void> {
		for (const [key, held] of [...this.#held].filter(([, {isLeaving}]) => isLeaving)) {
			try {
				this.#undo(key, held);
			} catch {
				// Next time.
			}
		}
	}

	points(): readonly string[] {
		return [...this.#held.values()].flatMap(({points}) => points);
	}

	#activate({name, mounts, labels = {}, isTemporary = false}: ActivateMounts, {key, namespace, lease, signal}: {
		readonly key: string; readonly namespace: string; readonly lease: string | undefined; readonly signal: AbortSignal | undefined;
	}): Activation {
		const plan = planActivation(mounts, {isTemporary, hasHandler: type => type === 'loop'});
		if (plan === undefined) {
			throw new KeelsonError('UNIMPLEMENTED', 'nothing to do');
		}
		if (name === '' || name.length > 1024) {
			throw new KeelsonError('INVALID_ARGUMENT', 'no name');
		}
		checkLabels(labels);
		signal?.throwIfAborted();
		if (lease !== undefined && !this.leases.has(lease)) {
			throw new KeelsonError('NOT_FOUND', `lease ${lease}: not found`);
		}
		const before = this.#held.get(key);
		if (before?.isLeaving === false) {
			throw new KeelsonError('ALREADY_EXISTS', `activation "${name}": already exists`);
		}
		if (before !== undefined) {
			this.#undo(key, before);
		}
		const active: ActiveMount[] = [];
		for (const planned of plan.performed) {
			const mount = planned.transformers.includes('format') ? fillIn(planned.mount, active) : planned.mount;
			if (mount.type === 'broken') {
				throw new KeelsonError('NOT_FOUND', 'it is broken');
			}
			const number = this.#count++;
			active.push({mount, mountPoint: `/memory/${number}`, mountedAt: new Date(), data: mount.type === 'loop' ? {device: `/dev/loop${number}`} : {}});
		}
		const system = plan.system.map(planned => planned.transformers.includes('format') ? fillIn(planned.mount, active) : planned.mount);
		const last = active.at(-1);
		const bound = isTemporary && last !== undefined ? [{type: 'bind', source: last.mountPoint, target: '', options: ['rbind']}] : [];
		const activation = {name, labels, active, system: [...system, ...bound]};
		this.#held.set(key, {activation, namespace, lease, points: active.map(({mountPoint}) => mountPoint), isLeaving: false});
		return activation;
	}

	#undo(key: string, held: Held): void {
		for (let point = held.points.at(-1); point !== undefined; point = held.points.at(-1)) {
			if (this.used.has(point)) {
				throw new KeelsonError('FAILED_PRECONDITION', `${point} is in use`);
			}
			held.points.pop();
			held.isLeaving = true;
		}
		this.#held.delete(key);
	}
}

function notFound(name: string): KeelsonError {
	return new KeelsonError('NOT_FOUND', `activation "${name}": not found`);
}
