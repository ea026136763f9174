import type {Timestamp} from '../gen/google/protobuf/timestamp.ts';

/** To the millisecond: that is what a Date keeps. Before 1970 nanos still count upwards, as protobuf wants it. */
export function timestampOf(date: Date): Timestamp {
	const ms = date.getTime();
	const seconds = Math.floor(ms / 1000);
	return {seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1_000_000};
}

/** Undefined where the message has none. */
export function dateOf(timestamp: Timestamp | undefined): Date | undefined {
	return timestamp === undefined ? undefined : new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1_000_000));
}
