import {spawn} from 'node:child_process';
import path from 'node:path';
import {Any as AnyMessage} from '../../../api/gen/google/protobuf/any.ts';
import {BootstrapParams, LogLevel} from '../../../api/gen/runtime/bootstrap/v1/bootstrap.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {stdioBufferVariable, stdioVariable, type StdioMode} from '../protocol/stdio-mode.ts';
import {depotPath} from '../protocol/spare-service.ts';
import type {ShimAddress} from './bundle.ts';
import {parseAnswer} from './shim-answer.ts';
import type {StartProtocol, StartProtocols} from './start-protocols.ts';

/** What a shim's binary is told by its environment and flags. */
export interface ShimEnvironment {
	readonly grpcAddress: string;
	readonly ttrpcAddress: string;
	/** For `-publish-binary`. */
	readonly daemonBinary: string;
	readonly runtimeRoot: string;
	readonly debug: boolean;
	/** Of this daemon. */
	readonly version: string;
	readonly stdio: StdioMode;
	readonly stdioBufferBytes: number;
	/** Whether a spare shim takes copies of what must outlive another. */
	readonly hasWarmSpare?: boolean;
}

export interface ShimCall {
	readonly namespace: string;
	readonly id: string;
	readonly bundle: string;
	readonly signal: AbortSignal;
}

export interface ShimStart extends ShimCall {
	/** The runtime options of the container. */
	readonly options: Any | undefined;
}

interface ShimInput {
	readonly namespace: string;
	readonly input?: Uint8Array;
	readonly signal: AbortSignal;
}

const outputBytesMax = 4 * 1024 * 1024;

/** A shim's binary, called as containerd calls it. */
export class ShimProgram {
	readonly path: string;
	readonly #environment: ShimEnvironment;
	readonly #protocols: StartProtocols;

	constructor(binary: string, environment: ShimEnvironment, protocols: StartProtocols) {
		this.path = binary;
		this.#environment = environment;
		this.#protocols = protocols;
	}

	/** Resolves with where the shim serves, and what the running one speaks. Rejects with what the binary printed, each way that it was asked. */
	async start(call: ShimStart): Promise<ShimAddress> {
		const {order, worked} = await this.#protocols.of(this.path);
		const refusals: string[] = [];
		for (const protocol of order) {
			try {
				const address = parseAnswer(await this.#run([...this.#flags(call), 'start'], call.bundle, {...call, input: this.#input(protocol, call)}));
				worked(protocol);
				return address;
			} catch (error) {
				if (!isKeelsonError(error, 'UNKNOWN')) {
					throw error;
				}
				refusals.push(error.message);
			}
		}
		throw new KeelsonError('UNKNOWN', [...new Set(refusals)].join('; in the older way: '));
	}

	/** Starts a spare, which only a shim of ours can be. Resolves once it serves. */
	async spare(signal: AbortSignal): Promise<void> {
		await this.#run(['-address', this.#environment.grpcAddress, 'spare'], '/', {namespace: '', signal});
	}

	/** Cleans up after a shim that is gone; resolves with a DeleteResponse. */
	async delete(call: ShimCall): Promise<Uint8Array> {
		return this.#run([...this.#flags(call), '-bundle', call.bundle, 'delete'], call.bundle, call);
	}

	/** What it says of itself: a RuntimeInfo. Rejects with UNIMPLEMENTED for a binary that has no such flag. */
	async info(input: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
		try {
			return await this.#run(['-info'], '/', {namespace: '', input, signal});
		} catch (error) {
			signal.throwIfAborted();
			throw new KeelsonError('UNIMPLEMENTED', `${this.path} -info: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
		}
	}

	#input(protocol: StartProtocol, {id, namespace, options}: ShimStart): Uint8Array {
		const {grpcAddress, ttrpcAddress, daemonBinary, debug, version} = this.#environment;
		switch (protocol) {
			case 'flags':
				return new Uint8Array(0);
			case 'options':
				return options === undefined ? new Uint8Array(0) : AnyMessage.encode(options).finish();
			case 'bootstrap':
				return BootstrapParams.encode(BootstrapParams.fromPartial({
					instanceId: id, namespace,
					logLevel: debug ? LogLevel.LOG_LEVEL_DEBUG : LogLevel.LOG_LEVEL_INFO,
					containerdVersion: version, containerdTtrpcAddress: ttrpcAddress, containerdGrpcAddress: grpcAddress, containerdBinary: daemonBinary,
					extensions: options === undefined ? [] : [{value: options}],
				})).finish();
		}
	}

	#flags({namespace, id}: ShimCall): string[] {
		const {grpcAddress, daemonBinary, debug} = this.#environment;
		return ['-namespace', namespace, '-address', grpcAddress, '-publish-binary', daemonBinary, '-id', id, ...(debug ? ['-debug'] : [])];
	}

	async #run(args: readonly string[], cwd: string, {namespace, input, signal}: ShimInput): Promise<Buffer> {
		const {grpcAddress, ttrpcAddress, runtimeRoot, stdio, stdioBufferBytes, hasWarmSpare = false} = this.#environment;
		signal.throwIfAborted();
		const child = spawn(this.path, args, {
			cwd,
			stdio: ['pipe', 'pipe', 'pipe'],
			env: {
				...process.env, GOMAXPROCS: '2', MAX_SHIM_VERSION: '2', TTRPC_ADDRESS: ttrpcAddress, GRPC_ADDRESS: grpcAddress, NAMESPACE: namespace,
				KEELSON_RUNTIME_ROOT: runtimeRoot, [stdioVariable]: stdio, [stdioBufferVariable]: String(stdioBufferBytes),
				KEELSON_DEPOT: hasWarmSpare ? depotPath(grpcAddress) : '',
			},
		});
		const kill = (): void => {
			child.kill('SIGKILL');
			child.stdout.destroy();
			child.stderr.destroy();
		};
		signal.addEventListener('abort', kill, {once: true});
		child.stdin.on('error', () => undefined);
		child.stdin.end(input ?? new Uint8Array(0));
		try {
			// The shim that goes on in the background has let go of the pipes by then.
			const [stdout, stderr, code] = await Promise.all([collect(child.stdout, kill), collect(child.stderr, kill), new Promise<number>((resolve, reject) => {
				child.once('error', error => reject(new KeelsonError('NOT_FOUND', `exec: ${JSON.stringify(this.path)}: ${error.message}`, {cause: error})));
				child.once('close', status => resolve(status ?? -1));
			})]);
			signal.throwIfAborted();
			if (code !== 0) {
				const said = (stderr.toString().trim() || stdout.toString().trim()).slice(-2000);
				throw new KeelsonError('UNKNOWN', `${path.basename(this.path)}: ${said || `exit status ${code}`}`);
			}
			return stdout;
		} finally {
			signal.removeEventListener('abort', kill);
		}
	}
}

async function collect(stream: NodeJS.ReadableStream, refuse: () => void): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	try {
		for await (const chunk of stream as AsyncIterable<Buffer>) {
			bytes += chunk.length;
			if (bytes > outputBytesMax) {
				refuse();
				break;
			}
			chunks.push(chunk);
		}
	} catch {
		// Destroyed: the caller gave up.
	}
	return Buffer.concat(chunks);
}
