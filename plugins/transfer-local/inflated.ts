import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {KeelsonError} from '../../kernel/errors.ts';
import {isZstd, splitFrames} from '../../lib/zstd/frames.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

const MAGIC_BYTES = 4;
const GZIP = Buffer.from([0x1f, 0x8b]);

/** Bytes as they are, or what their gzip or zstd holds: goes by the first bytes, since archives are named and typed in every way. Rejects with DATA_LOSS when the compression does. */
export async function* inflated(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
	const source = bytes[Symbol.asyncIterator]();
	const first: Uint8Array[] = [];
	let isDone = false;
	for (let size = 0; size < MAGIC_BYTES && !isDone;) {
		const next = await untilAborted(source.next(), signal);
		isDone = next.done === true;
		if (next.done !== true) {
			first.push(next.value);
			size += next.value.length;
		}
	}
	const head = Buffer.concat(first);
	const rest: AsyncIterable<Uint8Array> = {[Symbol.asyncIterator]: () => source};
	const whole = (async function* () {
		yield head;
		if (!isDone) {
			yield* rest;
		}
	})();
	const [compressed, transform] = head.subarray(0, GZIP.length).equals(GZIP) ? [whole, createGunzip()] : isZstd(head) ? [splitFrames(whole), createZstdDecompress()] : [whole, undefined];
	if (transform === undefined) {
		yield* whole;
		return;
	}
	// A failure of the source is met by whoever reads the transform. It is not waited for: a source that stalls ends with its signal.
	void pipeline(compressed, transform, {signal}).catch(() => undefined);
	try {
		yield* transform as AsyncIterable<Uint8Array>;
	} catch (error) {
		signal.throwIfAborted();
		throw KeelsonError.from(error, 'DATA_LOSS');
	} finally {
		transform.destroy();
	}
}
