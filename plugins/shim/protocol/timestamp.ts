import type {Timestamp} from '../../../api/gen/google/protobuf/timestamp.ts';

export function toTimestamp(date: Date): Timestamp {
	const milliseconds = date.getTime();
	const seconds = Math.floor(milliseconds / 1000);
	return {seconds: BigInt(seconds), nanos: (milliseconds - seconds * 1000) * 1_000_000};
}

/** Cut to milliseconds. Go's zero time, and none at all, are undefined. */
export function fromTimestamp(timestamp: Timestamp | undefined): Date | undefined {
	if (timestamp === undefined || timestamp.seconds < 0n) {
		return undefined;
	}
	return new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1_000_000));
}
