import type {MessageCodec, MethodDefinition} from '../../../lib/ttrpc/typed-service.ts';
import {shimSocketPath} from './shim-socket.ts';

/** Of what daemon and spare say to each other. A spare of another version is asked to go. */
export const spareVersion = 1;

export interface SpareHello {
	readonly version: number;
	/** Name and version of the program. */
	readonly program: string;
	readonly pid: number;
}

/** What a shim's `start` is told by flags and by the directory that it stands in. */
export interface SpareAssignment {
	readonly namespace: string;
	readonly id: string;
	readonly bundle: string;
}

/** A shim that has died, and its containers and sandboxes, which go on in the spare. */
export interface SpareInheritance {
	readonly namespace: string;
	/** Where the dead shim answered, and its heir will. */
	readonly socketPath: string;
	readonly containers: readonly {readonly id: string; readonly bundle: string}[];
	readonly sandboxes?: readonly {readonly id: string; readonly bundle: string}[];
	/** How long to wait for what an earlier spare has yet to pass on of them. */
	readonly patienceMs: number;
}

export interface SpareAssigned {
	/** Of the task protocol. */
	readonly version: number;
	readonly address: string;
	/** Processes that it holds for others, and passes on to the next spare. */
	readonly passesOn: number;
}

/** Where the spare shim of a daemon answers. No container has an empty id. */
export function spareSocketPath(grpcAddress: string): string {
	return shimSocketPath(grpcAddress, 'spare', '');
}

/** Where a daemon's spare takes descriptors from its shims: packets of JSON (`HoldMessage`), with the descriptors beside them. */
export function depotPath(grpcAddress: string): string {
	return `${spareSocketPath(grpcAddress)}.d`;
}

/**
 * What a shim has that must outlive it: `stdin` and `output`, its ends of the client's FIFOs; `input`, of a pipe to the process; `stdout` and
 * `stderr`, of pipes from it; the master end of a terminal.
 */
export type HeldKind = 'pidfd' | 'stdin' | 'input' | 'output' | 'stdout' | 'stderr' | 'terminal';

export type HoldMessage =
	/** First of all: whose things these are (the shim's socket), and which are still to be held of earlier ones. */
	| {readonly op: 'hello'; readonly owner: string; readonly keys: readonly string[]}
	/** A descriptor for each kind, in this order. */
	| {readonly op: 'keep'; readonly owner: string; readonly key: string; readonly bundle: string; readonly kinds: readonly HeldKind[]}
	| {readonly op: 'drop'; readonly owner: string; readonly key: string};

/** Names a process among those of a shim; ids have no slash. */
export function heldKey(containerId: string, execId: string): string {
	return `${containerId}/${execId}`;
}

// JSON and not protobuf: both ends are ours, and what one of them does not know yet it passes over.
function json<T>(): MessageCodec<T> {
	return {
		encode: message => ({finish: () => Buffer.from(JSON.stringify(message))}),
		decode: bytes => JSON.parse(Buffer.from(bytes).toString()) as T,
	};
}

function unary<Request, Response>(name: string): MethodDefinition<Request, Response> & {readonly requestStream: false; readonly responseStream: false} {
	return {name, requestType: json<Request>(), requestStream: false, responseType: json<Response>(), responseStream: false};
}

export const SpareDefinition = {
	fullName: 'keelson.shim.Spare',
	methods: {
		hello: unary<object, SpareHello>('Hello'),
		assign: unary<SpareAssignment, SpareAssigned>('Assign'),
		inherit: unary<SpareInheritance, SpareAssigned>('Inherit'),
		/** The spare ends, unless it holds something that nobody else has. */
		leave: unary<object, object>('Leave'),
	},
} as const;
