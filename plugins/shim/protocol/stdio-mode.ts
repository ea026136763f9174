import {KeelsonError} from '../../../kernel/errors.ts';

/**
 * What a process of a container writes to, where a client named a FIFO or a file:
 *
 *     direct     what the client named; nothing is copied, and a client that does not read blocks the container in the end
 *     copied     a pipe, which the shim passes on as fast as the client reads: what a checkpoint for other daemons needs
 *     buffered   a pipe, which the shim always empties: of what the client does not read, the newest is kept
 */
export type StdioMode = 'direct' | 'copied' | 'buffered';

/** In a container's spec it says more than the daemon's configuration. */
export const stdioAnnotation = 'io.keelson.stdio';

/** The daemon's configuration, in a shim's environment. */
export const stdioVariable = 'KEELSON_STDIO';
export const stdioBufferVariable = 'KEELSON_STDIO_BUFFER';

export const bufferBytesDefault = 4 * 1024 * 1024;

/** Empty: direct. Throws INVALID_ARGUMENT for what is none. @param where it was found, for the message */
export function parseStdioMode(text: string, where: string): StdioMode {
	switch (text) {
		case '':
			return 'direct';
		case 'direct':
		case 'copied':
		case 'buffered':
			return text;
		default:
			throw new KeelsonError('INVALID_ARGUMENT', `${where} is ${JSON.stringify(text.slice(0, 100))}, expected direct, copied or buffered`);
	}
}
