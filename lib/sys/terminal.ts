import {bindings, lastError} from './libc.ts';

export interface TerminalSize {
	readonly columns: number;
	readonly rows: number;
}

/** Sets the size of the terminal whose either end is `fd`; those in its foreground are sent SIGWINCH. */
export function resizeTerminal(fd: number, {columns, rows}: TerminalSize): void {
	const size = Buffer.alloc(8);
	size.writeUInt16LE(rows, 0);
	size.writeUInt16LE(columns, 2);
	if (functions().ioctl(fd, TIOCSWINSZ, size) === -1) {
		throw lastError(`resize terminal of descriptor ${fd} to ${columns}x${rows}`);
	}
}

export function terminalSize(fd: number): TerminalSize {
	const size = Buffer.alloc(8);
	if (functions().ioctl(fd, TIOCGWINSZ, size) === -1) {
		throw lastError(`size of terminal of descriptor ${fd}`);
	}
	return {rows: size.readUInt16LE(0), columns: size.readUInt16LE(2)};
}

const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;

const functions = bindings(libc => ({
	ioctl: libc.func('ioctl', 'int', ['int', 'ulong', 'void *']),
}));
