import type {Duplex} from 'node:stream';
import {KeelsonError} from '../../kernel/errors.ts';
import {encodeFrame, readFrames, type Frame} from './frame.ts';
import {Pace} from './pace.ts';

/** What every call is rejected with that the connection did not outlive. */
export function closedError(cause?: unknown): KeelsonError {
	return new KeelsonError('UNAVAILABLE', 'ttrpc: closed', {cause});
}

/** Frames over a connection, either side of it. Owns the connection. */
export class Channel {
	/** Resolves when the connection is gone, however that came; never rejects. */
	readonly closed: Promise<void>;
	readonly #connection: Duplex;
	readonly #pace: Pace | undefined;
	#failure: unknown;
	#room: PromiseWithResolvers<void> | undefined;

	/**
	 * @param framesPerSecond that are read of the peer at most; missing: all that it sends
	 * @param flooded called each time that the peer begins to send more than that for longer than a second
	 */
	constructor(connection: Duplex, framesPerSecond?: number, flooded?: () => void) {
		this.#connection = connection;
		this.#pace = framesPerSecond === undefined ? undefined : new Pace(framesPerSecond, flooded);
		const closed = Promise.withResolvers<void>();
		this.closed = closed.promise;
		connection.on('error', (error: unknown) => {
			this.#failure ??= error;
		});
		connection.on('drain', () => this.#release());
		connection.on('close', () => {
			this.#release();
			closed.resolve();
		});
		if (connection.closed) {
			closed.resolve();
		}
	}

	/** Whether the peer sends more than is read of it. */
	get isFlooding(): boolean {
		return this.#pace?.isFlooding ?? false;
	}

	get isClosed(): boolean {
		return this.#connection.destroyed;
	}

	/**
	 * Writes a frame after all those before it; resolves when there is room for more. Rejects with RESOURCE_EXHAUSTED for data over
	 * the limit, which leaves the connection as it was, and with UNAVAILABLE when the connection is gone.
	 */
	async send(frame: Frame): Promise<void> {
		const bytes = encodeFrame(frame);
		if (!this.#connection.writable) {
			throw this.closedError();
		}
		this.#connection.write(bytes);
		await this.room();
	}

	/** Resolves when the peer takes what is written, or is gone. */
	async room(): Promise<void> {
		if (this.#connection.writableNeedDrain && !this.#connection.destroyed) {
			this.#room ??= Promise.withResolvers();
			await this.#room.promise;
		}
	}

	/** The peer's frames until its end. While the consumer is busy nothing more is read. */
	frames(): AsyncIterable<Frame> {
		const frames = readFrames(this.#connection);
		return this.#pace === undefined ? frames : paced(frames, this.#pace);
	}

	closedError(): KeelsonError {
		return closedError(this.#failure);
	}

	/** Closes at once; what was written but not taken is lost. */
	close(): void {
		this.#connection.destroy();
	}

	/** Closes once all that was written is taken. */
	end(): void {
		this.#connection.end(() => this.#connection.destroy());
	}

	#release(): void {
		this.#room?.resolve();
		this.#room = undefined;
	}
}

async function* paced(frames: AsyncIterable<Frame>, pace: Pace): AsyncGenerator<Frame, void, undefined> {
	for await (const frame of frames) {
		yield frame;
		await pace.taken(frame);
	}
}
