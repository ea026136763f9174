import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';

export const transformers = ['format', 'mkfs', 'mkdir'] as const;
export type Transformer = typeof transformers[number];

/** A mount and what is to be done to it first. */
export interface PlannedMount {
	readonly mount: Mount;
	/** In the order in which they are applied: templates are filled in before anybody reads what they make. */
	readonly transformers: readonly Transformer[];
}

export interface ActivationPlan {
	/** Performed by the manager. */
	readonly performed: readonly PlannedMount[];
	/** Left to the runtime; the first may have transformers. */
	readonly system: readonly PlannedMount[];
}

/** As many as containerd can keep of an activation. */
const mountsMax = 255;

/** Decides who performs which mount; undefined when there is nothing for the manager to do. Pure. Throws INVALID_ARGUMENT for too many mounts. */
export function planActivation(mounts: readonly Mount[], {isTemporary, hasHandler}: {
	readonly isTemporary: boolean; readonly hasHandler: (type: string) => boolean;
}): ActivationPlan | undefined {
	if (mounts.length > mountsMax) {
		throw new KeelsonError('INVALID_ARGUMENT', `${mounts.length} mounts in one activation, at most ${mountsMax} are allowed`);
	}
	const planned = mounts.map(mount => planMount(mount));
	let firstOfSystem: number | undefined;
	for (const [index, {mount, transformers: found}] of planned.entries()) {
		if (isTemporary || hasHandler(mount.type)) {
			firstOfSystem = index + 1;
		} else if (found.length > 0) {
			firstOfSystem = index;
		}
	}
	return firstOfSystem === undefined ? undefined : {performed: planned.slice(0, firstOfSystem), system: planned.slice(firstOfSystem)};
}

// A word that is no transformer stays part of the type: a runtime may know it.
function planMount(mount: Mount): PlannedMount {
	const found: Transformer[] = [];
	let {type} = mount;
	for (;;) {
		const slash = type.indexOf('/');
		const transformer = transformers.find(known => known === type.slice(0, Math.max(slash, 0)));
		if (transformer === undefined) {
			return {mount: {...mount, type}, transformers: transformers.filter(known => found.includes(known))};
		}
		found.push(transformer);
		type = type.slice(slash + 1);
	}
}
