import path from 'node:path';
import {Background} from './background.ts';
import {command, succeed, tail, type CommandOptions, type Outcome} from './command.ts';
import {programsOf, type Release} from './releases.ts';
import {Terminal} from './terminal.ts';
import {until} from './until.ts';

/** One release of the unmodified client, bound to a daemon's address and a containerd namespace. */
export class Ctr {
	readonly release: Release;
	readonly address: string;
	readonly namespace: string;
	readonly program: string;
	/** What containers are made with where none is named; undefined: the client's own default. */
	readonly runtime: string | undefined;

	constructor(release: Release, address: string, namespace: string, runtime?: string) {
		this.release = release;
		this.address = address;
		this.namespace = namespace;
		this.runtime = runtime;
		this.program = path.join(programsOf(release), 'ctr');
	}

	/** The same client in another namespace. */
	in(namespace: string): Ctr {
		return new Ctr(this.release, this.address, namespace, this.runtime);
	}

	arguments(args: readonly string[]): string[] {
		return ['--address', this.address, '--connect-timeout', '10s', '--namespace', this.namespace, ...this.#withRuntime(args)];
	}

	/** Runs to the end, whatever the exit status. */
	async run(...args: readonly string[]): Promise<Outcome> {
		return this.with({}, ...args);
	}

	async with(options: CommandOptions, ...args: readonly string[]): Promise<Outcome> {
		return command(this.program, this.arguments(args), options);
	}

	/** What it prints; rejects unless the exit status is 0. */
	async ok(...args: readonly string[]): Promise<string> {
		const {stdout} = await succeed(this.program, this.arguments(args));
		return stdout;
	}

	/**
	 * What a container's process prints. A client may cancel the reading of a FIFO that it has not yet opened when a process ends
	 * at once: where nothing came, it is asked again, twice at most.
	 */
	async prints(...args: readonly string[]): Promise<string> {
		for (let attempt = 0; attempt < 2; attempt++) {
			const text = await this.ok(...args);
			if (text !== '') {
				return text;
			}
		}

		return this.ok(...args);
	}

	/**
	 * Runs a process that prints on both streams and then reads a line, which it is given once something of both has come: the client
	 * has opened the FIFOs when the process ends, see `prints`.
	 */
	async hears(...args: readonly string[]): Promise<Pick<Outcome, 'code' | 'stdout' | 'stderr'>> {
		await using running = this.background(...args);
		await running.prints(/\n/v);
		await until('standard error', () => running.stderr !== '');
		running.write('\n');
		running.end();
		const code = await running.exit();
		return {code, stdout: running.stdout, stderr: running.stderr};
	}

	/** The exit status of a task that has ended, which `tasks rm` tells as it removes it. */
	async exitStatus(id: string): Promise<number> {
		const {stderr} = await succeed(this.program, this.arguments(['tasks', 'rm', id]));
		return Number(/exit with non-zero exit code (?<code>\d+)/v.exec(stderr)?.groups?.['code'] ?? 0);
	}

	/** What it prints on standard error; rejects when the exit status is 0. */
	async fails(...args: readonly string[]): Promise<string> {
		const outcome = await this.run(...args);
		if (outcome.code === 0) {
			throw new Error(`${outcome.command} should have failed; stdout: ${tail(outcome.stdout)}; stderr: ${tail(outcome.stderr)}`);
		}

		return outcome.stderr;
	}

	/** The words of each line that it prints, without the heading. */
	async rows(...args: readonly string[]): Promise<string[][]> {
		const text = await this.ok(...args);
		return text.split('\n').slice(1).filter(line => line.trim() !== '').map(line => line.trim().split(/\s+/v));
	}

	/** The lines that a `-q` prints. */
	async lines(...args: readonly string[]): Promise<string[]> {
		const text = await this.ok(...args);
		return text.split('\n').filter(line => line !== '');
	}

	background(...args: readonly string[]): Background {
		return new Background(this.program, this.arguments(args));
	}

	terminal(...args: readonly string[]): Terminal {
		return new Terminal(this.program, this.arguments(args));
	}

	#withRuntime(args: readonly string[]): readonly string[] {
		const words = args[0] === 'run' ? 1 : args[0] === 'containers' && args[1] === 'create' ? 2 : 0;
		return this.runtime === undefined || words === 0 ? args : [...args.slice(0, words), '--runtime', this.runtime, ...args.slice(words)];
	}
}
