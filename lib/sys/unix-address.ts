import {KeelsonError} from '../../kernel/errors.ts';
import {cString} from './libc.ts';

/** A struct sockaddr_un. Throws INVALID_ARGUMENT for a path of more than 107 bytes: sun_path has 108 with its end. */
export function unixAddress(path: string): Buffer {
	const bytes = cString(path);
	if (bytes.length > 108) {
		throw new KeelsonError('INVALID_ARGUMENT', `path of socket ${path} is ${bytes.length - 1} bytes, at most 107`);
	}
	const address = Buffer.alloc(2 + bytes.length);
	address.writeUInt16LE(AF_UNIX, 0);
	bytes.copy(address, 2);
	return address;
}

export const AF_UNIX = 1;
