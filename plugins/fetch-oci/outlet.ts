import {Writable} from 'node:stream';

const PIECE_BYTES = 256 * 1024;
/** So much may be on its way to the reader before the network has to wait. */
const WINDOW_BYTES = 1024 * 1024;
/** So long a byte may wait for others before it goes. */
const LINGER_MS = 20;

/** Puts what the network brings together into large pieces, and waits for the reader when it lags behind. */
export class Outlet extends Writable {
	readonly #send: (piece: Uint8Array<ArrayBuffer>) => void;
	#piece: Buffer<ArrayBuffer> | undefined;
	#length = 0;
	#unread = 0;
	#linger: NodeJS.Timeout | undefined;
	#goOn: (() => void) | undefined;

	/** @param send takes a piece, and its buffer, away */
	constructor(send: (piece: Uint8Array<ArrayBuffer>) => void) {
		super({highWaterMark: PIECE_BYTES, decodeStrings: false});
		this.#send = send;
	}

	/** The reader asks for more: it has had so many bytes since it was here last. */
	wasRead(bytes: number): void {
		this.#unread -= bytes;
		if (this.#unread < WINDOW_BYTES) {
			const goOn = this.#goOn;
			this.#goOn = undefined;
			goOn?.();
		}
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		for (let at = 0; at < chunk.length;) {
			const piece = this.#piece ??= Buffer.allocUnsafeSlow(PIECE_BYTES);
			const copied = chunk.copy(piece, this.#length, at);
			at += copied;
			this.#length += copied;
			if (this.#length === PIECE_BYTES) {
				this.#flush();
			}
		}
		if (this.#length > 0) {
			this.#linger ??= setTimeout(() => this.#flush(), LINGER_MS);
		}
		if (this.#unread < WINDOW_BYTES) {
			done();
		} else {
			this.#goOn = done;
		}
	}

	override _final(done: () => void): void {
		this.#flush();
		done();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		clearTimeout(this.#linger);
		done(error);
	}

	#flush(): void {
		clearTimeout(this.#linger);
		this.#linger = undefined;
		const piece = this.#piece;
		if (piece !== undefined && this.#length > 0) {
			this.#unread += this.#length;
			this.#send(piece.subarray(0, this.#length));
			this.#piece = undefined;
			this.#length = 0;
		}
	}
}
