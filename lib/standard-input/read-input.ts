import {createReadStream} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';

/** All of standard input. Rejects with RESOURCE_EXHAUSTED as soon as it is longer than `bytesMax`, and with the signal's reason. */
export async function readInput({bytesMax, signal}: {readonly bytesMax: number; readonly signal?: AbortSignal}): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let size = 0;
	// Not process.stdin, which would make the pipe non-blocking for whoever has it after us.
	for await (const chunk of createReadStream('', {fd: 0, autoClose: false, ...(signal === undefined ? {} : {signal})}) as AsyncIterable<Buffer>) {
		size += chunk.byteLength;
		if (size > bytesMax) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `standard input is longer than ${bytesMax} bytes`);
		}
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}
