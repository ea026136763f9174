import {closeSync, open} from 'node:fs';
import {Socket} from 'node:net';
import {promisify} from 'node:util';
import type {LayerBytes} from '../../contracts/diff/diff.ts';
import type {Any} from '../../contracts/oci/any.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {createPipe} from '../../lib/sys/pipe.ts';
import {fillPipe} from './fill-pipe.ts';
import type {ProcessorChain} from './processor-chain.ts';
import {ProcessorProgram} from './processor-program.ts';

export interface ProcessOptions {
	/** By the processor's id. */
	readonly payloads: ReadonlyMap<string, Any> | undefined;
	/** Kills the programs. */
	readonly signal: AbortSignal;
}

/** What a chain of processors makes of a layer. Disposed: no program runs any more. */
export interface ProcessedLayer extends AsyncDisposable {
	readonly layer: LayerBytes;
}

const pipeBytes = 1024 * 1024;

/**
 * Starts the programs of a chain, each on a pipe from the one before. The bytes end only when all of them have ended well. Rejects, or the bytes do, with
 * FAILED_PRECONDITION (a program cannot be started), UNKNOWN (it failed), and what the layer rejects with.
 *
 *     file ─► program ─► program ─► read()            a layer that is whole lies in a file: no byte of it passes through here
 *     read() ─► pipe ─► program ─► program ─► read()
 */
export async function processLayer(layer: LayerBytes, {stages, mediaType}: ProcessorChain, {payloads, signal}: ProcessOptions): Promise<ProcessedLayer> {
	if (stages.length === 0) {
		return {layer, async [Symbol.asyncDispose]() {}};
	}
	await using half = new AsyncDisposableStack();
	const stop = new AbortController();
	const ended = AbortSignal.any([signal, stop.signal]);
	const source = await openSource(layer, ended);
	half.defer(async () => source.done.catch(() => undefined));
	const programs: ProcessorProgram[] = [];
	// What is read next, until somebody has it.
	let {input} = source;
	try {
		for (const stage of stages) {
			const {reader, writer} = createPipe(pipeBytes);
			try {
				programs.push(half.use(await ProcessorProgram.start(stage, {input, output: writer}, payloads?.get(stage.processor.id))));
			} finally {
				closeSync(writer);
				closeSync(input);
				input = reader;
			}
		}
		ended.throwIfAborted();
	} catch (error) {
		closeSync(input);
		stop.abort(error);
		throw error;
	}
	const output = half.adopt(new Socket({fd: input, readable: true, writable: false}), socket => {
		socket.destroy();
	});
	const end = (): void => {
		programs.forEach(program => program.kill());
		output.destroy();
	};
	ended.addEventListener('abort', end, {once: true});
	half.defer(() => stop.abort(new KeelsonError('CANCELLED', 'nobody reads any more what the stream processors write')));
	const held = half.move();
	return {
		layer: {descriptor: {...layer.descriptor, mediaType}, read: () => outputOf(output, {programs, done: source.done, signal: ended})},
		[Symbol.asyncDispose]: async () => held.disposeAsync(),
	};
}

interface Producers {
	readonly programs: readonly ProcessorProgram[];
	/** Of the layer itself. */
	readonly done: Promise<void>;
	readonly signal: AbortSignal;
}

async function * outputOf(output: Socket, {programs, done, signal}: Producers): AsyncIterable<Uint8Array> {
	try {
		yield * output as AsyncIterable<Buffer>;
	} catch (error) {
		signal.throwIfAborted();
		throw error;
	}
	// In this order: programs that were given half a layer fail for that.
	await done;
	const failures = (await Promise.all(programs.map(async program => program.failure()))).filter(failure => failure !== undefined);
	signal.throwIfAborted();
	// Whoever only lost its reader was not the first to fail.
	const first = failures.find(({isUnread}) => !isUnread) ?? failures[0];
	if (first !== undefined) {
		throw first.error;
	}
}

/** A descriptor to read the layer from, the caller's to close. A file that still grows is read by nobody before it is whole. */
async function openSource(layer: LayerBytes, signal: AbortSignal): Promise<{readonly input: number; readonly done: Promise<void>}> {
	const {file, growth} = layer;
	if (file !== undefined && growth === undefined) {
		return {input: await promisify(open)(file, 'r'), done: Promise.resolve()};
	}
	const {reader, writer} = createPipe(pipeBytes);
	const done = fillPipe(writer, layer.read(signal), signal);
	// Met by whoever reads what the programs make of it.
	done.catch(() => undefined);
	return {input: reader, done};
}
