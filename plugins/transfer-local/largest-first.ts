import type {Descriptor} from '../../contracts/oci/descriptor.ts';

/** In the order in which they are done soonest, when several are worked on at once and none needs another: one that is large must not be the last. */
export function largestFirst<T>(items: readonly T[], descriptorOf: (item: T) => Descriptor): readonly T[] {
	return items.toSorted((a, b) => descriptorOf(b).size - descriptorOf(a).size);
}
