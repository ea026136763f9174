import type {Contract, ServiceOf} from './contract.ts';

/** What a plugin asks for: how many providers, of which contract. */
export interface Requirement {
	readonly want: 'one' | 'maybe' | 'all';
	readonly contract: Contract<unknown>;
}

/** Exactly one provider, or the plugin does not start. */
export const one = <C extends Contract<unknown>>(contract: C) => ({want: 'one', contract}) as const;

/** The provider if there is one that started. */
export const maybe = <C extends Contract<unknown>>(contract: C) => ({want: 'maybe', contract}) as const;

/** Every provider that started, by what its id has after the contract's type. */
export const all = <C extends Contract<unknown>>(contract: C) => ({want: 'all', contract}) as const;

type Answer<R> = R extends {want: infer Want; contract: infer C}
	? Want extends 'all' ? ReadonlyMap<string, ServiceOf<C>>
	: Want extends 'maybe' ? ServiceOf<C> | undefined
	: ServiceOf<C>
	: never;

/** The services that a record of requirements is answered with, under the same names. */
export type Answers<R> = {readonly [Name in keyof R]: Answer<R[Name]>};
