const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `12.3 MB`; thousands, not 1024s. */
export function humanBytes(bytes: number): string {
	let value = bytes;
	let unit = 0;
	while (value >= 999.5 && unit < UNITS.length - 1) {
		value /= 1000;
		unit += 1;
	}
	return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`;
}

const STEPS = [[86_400, 'day'], [3600, 'hour'], [60, 'minute']] as const;

/** `3 hours ago`. */
export function humanAge(date: Date | undefined, now = Date.now()): string {
	if (date === undefined) {
		return '-';
	}
	const seconds = Math.max(0, Math.floor((now - date.getTime()) / 1000));
	for (const [length, word] of STEPS) {
		const count = Math.floor(seconds / length);
		if (count > 0) {
			return `${count} ${word}${count === 1 ? '' : 's'} ago`;
		}
	}
	return `${seconds} s ago`;
}

/** `sha256:` and twelve letters. */
export function shortDigest(digest: string): string {
	const [algorithm = '', hex = ''] = digest.split(':');
	return `${algorithm}:${hex.slice(0, 12)}`;
}
