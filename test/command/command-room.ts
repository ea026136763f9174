import type {ExecutionContext} from 'ava';
import {Background} from '../helpers/background.ts';
import {command, type CommandOptions, type Outcome} from '../helpers/command.ts';
import {Terminal} from '../helpers/terminal.ts';
import {ClientRoom} from '../client/client-room.ts';
import {keelson, keelsonPath} from '../helpers/keelson-program.ts';

/** `bin/keelson` bound to a keelsond of its own, as a pipe, a program and a person would run it. */
export class CommandRoom {
	readonly room: ClientRoom;

	private constructor(room: ClientRoom) {
		this.room = room;
	}

	static async open(): Promise<CommandRoom> {
		return new CommandRoom(await ClientRoom.open(keelson(), 'command'));
	}

	#arguments(args: readonly string[]): string[] {
		return ['-a', this.room.daemon.places.address, '-n', this.room.client.namespace, ...args];
	}

	async run(...args: readonly string[]): Promise<Outcome> {
		return this.with({}, ...args);
	}

	async with(options: CommandOptions, ...args: readonly string[]): Promise<Outcome> {
		return command(keelsonPath, this.#arguments(args), options);
	}

	/** What it prints on a pipe; the test fails unless the exit status is 0 and nothing else was said. */
	async ok(t: ExecutionContext, ...args: readonly string[]): Promise<string> {
		const {code, stdout, stderr} = await this.run(...args);
		t.deepEqual({code, stderr}, {code: 0, stderr: ''}, args.join(' '));
		return stdout;
	}

	/** The one document that --json prints. */
	async json(t: ExecutionContext, ...args: readonly string[]): Promise<unknown> {
		return JSON.parse(await this.ok(t, ...args, '--json'));
	}

	background(...args: readonly string[]): Background {
		return new Background(keelsonPath, this.#arguments(args));
	}

	terminal(...args: readonly string[]): Terminal {
		return new Terminal(keelsonPath, this.#arguments(args));
	}

	/** What a person sees. */
	async seen(...args: readonly string[]): Promise<string> {
		await using terminal = this.terminal(...args);
		await terminal.exit();
		return terminal.output.replaceAll('\r\n', '\n');
	}
}
