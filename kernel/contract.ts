declare const service: unique symbol;

/** The type half of a plugin id, such as `io.containerd.content.v1`. */
export type ContractType = `io.${string}.${string}.v${number}`;

/** Names a kind of service, and carries its TypeScript type. The same type string is the same contract, whoever made the token. */
export interface Contract<T, Type extends ContractType = ContractType> {
	readonly type: Type;
	/** Never set: holds `T` for the compiler alone. */
	readonly [service]?: T;
}

/** `export const Clock = contract('io.example.clock.v1').for<Clock>();` */
export function contract<const Type extends ContractType>(type: Type): {for<T>(): Contract<T, Type>} {
	return {for: () => Object.freeze({type})};
}

/** What a contract's provider must be. */
export type ServiceOf<C> = C extends Contract<infer T> ? T : never;
