import {readFileSync, renameSync, writeFileSync} from 'node:fs';

/** Writes a record whole or not at all, whenever this process is killed: whoever reads it finds the last one. */
export function replaceRecord(file: string, record: object): void {
	writeFileSync(`${file}.new`, JSON.stringify(record), {mode: 0o600});
	renameSync(`${file}.new`, file);
}

/** Undefined where there is none that can be read. */
export function readRecord(file: string): unknown {
	try {
		return JSON.parse(readFileSync(file, 'utf8'));
	} catch {
		return undefined;
	}
}
