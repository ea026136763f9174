import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {KeelsonError} from '../kernel/errors.ts';

const TIMEOUT_MS = 30_000;

/** Runs a small program of the machine to its end, in `cwd`. Rejects with INTERNAL and what it said when it fails, or with CANCELLED. */
export async function runProgram(file: string, args: readonly string[], {signal, cwd = '/'}: {readonly signal?: AbortSignal | undefined; readonly cwd?: string} = {}): Promise<string> {
	try {
		const {stdout} = await promisify(execFile)(file, args, {timeout: TIMEOUT_MS, cwd, ...(signal === undefined ? {} : {signal})});
		return stdout;
	} catch (error) {
		if (signal?.aborted === true) {
			throw KeelsonError.from(signal.reason, 'CANCELLED');
		}
		const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
		throw new KeelsonError('INTERNAL', `${[file, ...args].join(' ')}: ${said === '' ? String(error) : said}`, {cause: error});
	}
}
