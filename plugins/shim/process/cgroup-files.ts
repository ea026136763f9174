import {readFile} from 'node:fs/promises';

/** A file of a control group; undefined where the kernel or the controller has none. */
export async function readCgroupFile(directory: string, name: string): Promise<string | undefined> {
	// Also EOPNOTSUPP and ENODEV, of controllers that exist in name.
	return readFile(`${directory}/${name}`, 'utf8').catch(() => undefined);
}

/** A number alone; `max` is the largest of 64 bits. 0 where there is none. */
export function toCount(text: string | undefined): bigint {
	const word = text?.trim() ?? '';
	if (word === 'max') {
		return 0xffff_ffff_ffff_ffffn;
	}
	return /^\d+$/.test(word) ? BigInt(word) : 0n;
}

/** Lines of a key and a number: `memory.stat`, `cpu.stat`, `memory.events`. A key that is missing is 0. */
export function flatKeyed(text: string | undefined): (key: string) => bigint {
	const values = pairs((text ?? '').split('\n'), ' ');
	return key => toCount(values.get(key));
}

export function pairs(words: readonly string[], separator: string): ReadonlyMap<string, string> {
	return new Map(words.map(word => {
		const [key = '', value = ''] = word.split(separator, 2);
		return [key, value];
	}));
}
