import {KeelsonError} from '../../../kernel/errors.ts';

/** What the manager reads of an OCI spec. */
export interface SpecFacts {
	/** It asks for a new network namespace that nobody has named, and has no user namespace that would have to own it. */
	readonly wantsNetwork: boolean;
	readonly annotations: Readonly<Record<string, string>>;
	/** The host's id of root's group, with a user namespace. */
	readonly rootGid: number | undefined;
}

interface Spec {
	readonly annotations?: Readonly<Record<string, string>>;
	readonly linux?: {
		readonly namespaces?: readonly {readonly type?: string; readonly path?: string}[];
		readonly gidMappings?: readonly {readonly containerID?: number; readonly hostID?: number}[];
	};
}

/** Throws INVALID_ARGUMENT for bytes that are no JSON object. */
export function readSpec(bytes: Uint8Array): SpecFacts {
	const {annotations = {}, linux} = parse(bytes) as Spec;
	const namespaces = linux?.namespaces ?? [];
	const network = namespaces.find(({type}) => type === 'network');
	return {
		wantsNetwork: network !== undefined && (network.path ?? '') === '' && !namespaces.some(({type}) => type === 'user'),
		annotations,
		rootGid: namespaces.some(({type}) => type === 'user') ? linux?.gidMappings?.find(({containerID}) => containerID === 0)?.hostID : undefined,
	};
}

/** The same spec with the network namespace at `path`. Numbers that JavaScript cannot hold (limits of 64 bits) stay as they were written. */
export function withNetworkPath(bytes: Uint8Array, path: string): Uint8Array {
	const spec = parse(bytes) as {linux: {namespaces: {type: string; path?: string}[]}};
	const network = spec.linux.namespaces.find(({type}) => type === 'network');
	if (network !== undefined) {
		network.path = path;
	}
	return Buffer.from(JSON.stringify(spec));
}

// ECMAScript 2026 has both; TypeScript's library does not know them yet.
const {parse: parseWithSource, rawJSON} = JSON as unknown as {
	parse(text: string, reviver: (key: string, value: unknown, context: {readonly source?: string}) => unknown): unknown;
	rawJSON(text: string): unknown;
};

/** A number that a double may not hold, or in a form that JSON.stringify would not write; what looks so within a string does no harm. */
const oddNumber = /[:,[]\s*(?:-?\d{16}|-?\d+[.eE]|-0)/;

function parse(bytes: Uint8Array): object {
	let value: unknown;
	const text = Buffer.from(bytes).toString();
	try {
		// A reviver takes ten times as long, and few specs have such a number.
		value = !oddNumber.test(text) ? JSON.parse(text) : parseWithSource(text, (_, one, {source}) =>
			typeof one === 'number' && source !== undefined && String(one) !== source ? rawJSON(source) : one);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `the spec is not JSON: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
	}
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw new KeelsonError('INVALID_ARGUMENT', 'the spec is not a JSON object');
	}
	return value;
}
