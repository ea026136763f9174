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

export interface SpareAssigned {
	/** Of the task protocol. */
	readonly version: number;
	readonly address: string;
}

/** Where the spare shim of a daemon answers. No container has an empty id. */
export function spareSocketPath(grpcAddress: string): string {
	return shimSocketPath(grpcAddress, 'spare', '');
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
		/** The spare ends. */
		leave: unary<object, object>('Leave'),
	},
} as const;
