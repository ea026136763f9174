import {spawn} from 'node:child_process';
import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError} from '../../kernel/errors.ts';

const HELPER_TIMEOUT_MS = 30_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Asks `docker-credential-<name> get` for a host's credentials (docker-credential-helpers' protocol: the host on standard input, JSON on standard output).
 * Undefined when it has none. Rejects with INVALID_ARGUMENT (the name), UNAVAILABLE when the program is not there, fails, or takes longer than 30 s.
 */
export async function askCredentialHelper(name: string, host: string, signal: AbortSignal): Promise<Credentials | undefined> {
	if (!NAME.test(name)) {
		throw new KeelsonError('INVALID_ARGUMENT', `credential helper ${JSON.stringify(name.slice(0, 100))}: expected what follows "docker-credential-" in a program's name`);
	}
	const program = `docker-credential-${name}`;
	const {code, output} = await run(program, host, AbortSignal.any([signal, AbortSignal.timeout(HELPER_TIMEOUT_MS)]));
	const text = output.toString('utf8').trim();
	if (code !== 0) {
		if (/credentials not found/i.test(text)) {
			return undefined;
		}
		throw new KeelsonError('UNAVAILABLE', `${program} get for ${host} ended with ${code}: ${text.slice(0, 200)}`);
	}
	const {Username: username, Secret: secret} = parsed(text, program);
	if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') {
		return undefined;
	}
	return {username: username === '<token>' ? '' : username, secret};
}

async function run(program: string, input: string, signal: AbortSignal): Promise<{code: number; output: Buffer}> {
	const child = spawn(program, ['get'], {stdio: ['pipe', 'pipe', 'ignore'], signal, killSignal: 'SIGKILL'});
	const {promise, resolve, reject} = Promise.withResolvers<number>();
	child.on('error', reject);
	child.on('close', code => {
		resolve(code ?? -1);
	});
	// A helper that does not read is not waited for; its answer says what is wrong.
	child.stdin.on('error', () => undefined).end(`${input}\n`);
	const chunks: Buffer[] = [];
	let size = 0;
	child.stdout.on('data', (chunk: Buffer) => {
		size += chunk.length;
		if (size > OUTPUT_BYTES_MAX) {
			child.kill('SIGKILL');
			reject(new KeelsonError('RESOURCE_EXHAUSTED', `${program} wrote more than ${OUTPUT_BYTES_MAX} bytes`));
		} else {
			chunks.push(chunk);
		}
	});
	try {
		return {code: await promise, output: Buffer.concat(chunks)};
	} catch (error) {
		throw signal.aborted ? KeelsonError.from(signal.reason, 'CANCELLED') : KeelsonError.from(error, 'UNAVAILABLE');
	}
}

function parsed(text: string, program: string): {readonly Username?: unknown; readonly Secret?: unknown} {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null ? value : {};
	} catch {
		// Not kept as a cause: it quotes what may be a secret.
		throw new KeelsonError('UNAVAILABLE', `${program} answered with what is no JSON`);
	}
}
