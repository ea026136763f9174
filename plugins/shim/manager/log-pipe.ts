import {constants, open} from 'node:fs';
import {Socket} from 'node:net';
import path from 'node:path';
import {promisify} from 'node:util';
import type {Logger} from '../../../kernel/log.ts';
import {makeFifo} from '../../../lib/sys/file-system.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';

const lineBytesMax = 64 * 1024;

/** The FIFO `log` of a bundle: what a shim writes there goes to the daemon's log. Opened for both, so that shims come and go. */
export class LogPipe implements Disposable {
	readonly #socket: Socket;

	private constructor(socket: Socket) {
		this.#socket = socket;
	}

	/** Makes the FIFO unless it is there from an earlier run. */
	static async open(bundle: string, log: Logger): Promise<LogPipe> {
		const file = path.join(bundle, 'log');
		try {
			makeFifo(file, 0o700);
		} catch (error) {
			if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
				throw error;
			}
		}
		// A descriptor and not a FileHandle, which would not give it up to the socket.
		const fd = await promisify(open)(file, constants.O_RDWR | constants.O_NONBLOCK);
		const socket = new Socket({fd, readable: true, writable: false});
		let rest = '';
		socket.setEncoding('utf8').on('error', () => undefined).on('data', (text: string) => {
			const lines = `${rest}${text}`.split('\n');
			rest = (lines.pop() ?? '').slice(-lineBytesMax);
			lines.filter(line => line !== '').forEach(line => log[levelOf(line)](line));
		});
		return new LogPipe(socket);
	}

	[Symbol.dispose](): void {
		this.#socket.destroy();
	}
}

/** As the line itself says, in logrus' form; what a shim prints without a level is worth reading. */
function levelOf(line: string): 'debug' | 'info' | 'warn' | 'error' {
	const level = /(?:^|\s)level=(?<level>[a-z]+)/.exec(line)?.groups?.['level'] ?? 'info';
	return levels.get(level) ?? 'info';
}

const levels: ReadonlyMap<string, 'debug' | 'warn' | 'error'> = new Map([['trace', 'debug'], ['debug', 'debug'], ['warning', 'warn'], ['error', 'error'], ['fatal', 'error'], ['panic', 'error']] as const);
