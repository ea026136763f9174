import {spawn} from 'node:child_process';
import path from 'node:path';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {ShimAddress} from './bundle.ts';

/** What a shim's binary is told by its environment and flags. */
export interface ShimEnvironment {
	readonly grpcAddress: string;
	readonly ttrpcAddress: string;
	/** For `-publish-binary`. */
	readonly daemonBinary: string;
	readonly runtimeRoot: string;
	readonly debug: boolean;
}

export interface ShimCall {
	readonly namespace: string;
	readonly id: string;
	readonly bundle: string;
	readonly input?: Uint8Array;
	readonly signal: AbortSignal;
}

const outputBytesMax = 4 * 1024 * 1024;

/** A shim's binary, called as containerd calls it. */
export class ShimProgram {
	readonly path: string;
	readonly #environment: ShimEnvironment;

	constructor(binary: string, environment: ShimEnvironment) {
		this.path = binary;
		this.#environment = environment;
	}

	/** Resolves with where the shim serves. Rejects with what the binary printed. */
	async start(call: ShimCall): Promise<ShimAddress> {
		const output = await this.#run([...this.#flags(call), 'start'], call.bundle, call);
		return parseAddress(output.toString());
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

	#flags({namespace, id}: ShimCall): string[] {
		const {grpcAddress, daemonBinary, debug} = this.#environment;
		return ['-namespace', namespace, '-address', grpcAddress, '-publish-binary', daemonBinary, '-id', id, ...(debug ? ['-debug'] : [])];
	}

	async #run(args: readonly string[], cwd: string, {namespace, input, signal}: Pick<ShimCall, 'namespace' | 'input' | 'signal'>): Promise<Buffer> {
		const {grpcAddress, ttrpcAddress, runtimeRoot} = this.#environment;
		signal.throwIfAborted();
		const child = spawn(this.path, args, {
			cwd,
			stdio: ['pipe', 'pipe', 'pipe'],
			env: {
				...process.env, GOMAXPROCS: '2', MAX_SHIM_VERSION: '2', TTRPC_ADDRESS: ttrpcAddress, GRPC_ADDRESS: grpcAddress, NAMESPACE: namespace,
				KEELSON_RUNTIME_ROOT: runtimeRoot,
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

/** Reads what `start` printed: JSON since version 2 of the bootstrap protocol, a bare address before. Throws INTERNAL. */
export function parseAddress(output: string): ShimAddress {
	const text = output.trim();
	const bootstrap = text.startsWith('{') ? JSON.parse(text) as Partial<ShimAddress> : {version: 2, address: text, protocol: 'ttrpc'};
	const {version, address, protocol = 'ttrpc'} = bootstrap;
	if (typeof address !== 'string' || !/^unix:\/\/\/|^\//.test(address)) {
		throw new KeelsonError('INTERNAL', `the shim printed ${JSON.stringify(text.slice(0, 500))}, expected the address of a unix socket`);
	}
	if ((version !== 2 && version !== 3) || protocol !== 'ttrpc') {
		throw new KeelsonError('UNIMPLEMENTED', `the shim at ${address} speaks ${protocol} version ${version}, expected ttrpc version 2 or 3`);
	}
	return {version, address, protocol};
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
