import type {OciRuntime, OciRuntimeOptions, OciRuntimes} from '../../contracts/oci-runtime/oci-runtime.ts';
import {CommandLineRuntime} from './command-line-runtime.ts';
import {findProgram} from './find-program.ts';
import {runProgram, type RunProgram} from './run-program.ts';

/** Opens any binary that has runc's command line. Holds nothing, needs no kernel: a shim's process makes its own. */
export class CommandLineRuntimes implements OciRuntimes {
	readonly #run: RunProgram;
	readonly #searchPath: string;

	constructor({run = runProgram, searchPath = process.env['PATH'] ?? ''}: {readonly run?: RunProgram; readonly searchPath?: string} = {}) {
		this.#run = run;
		this.#searchPath = searchPath;
	}

	open(options: OciRuntimeOptions): OciRuntime {
		return new CommandLineRuntime(findProgram(options.binary, this.#searchPath), options, this.#run);
	}
}
