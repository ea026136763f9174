import type {Entrant} from './entrants.ts';
import {median} from './measure.ts';

const ROUNDS = 3;

/** Every entrant once in each round, the first to go changing with each. */
export function inTurns(entrants: readonly Entrant[]): readonly Entrant[] {
	return Array.from({length: ROUNDS}, (_, round) => [...entrants.slice(round % entrants.length), ...entrants.slice(0, round % entrants.length)]).flat();
}

export function add<T>(samples: Map<Entrant, T[]>, entrant: Entrant, sample: T): void {
	samples.set(entrant, [...samples.get(entrant) ?? [], sample]);
}

/** The median of an entrant's samples. */
export function middle(samples: ReadonlyMap<Entrant, readonly number[]>, entrant: Entrant): number {
	return median(samples.get(entrant) ?? []);
}
