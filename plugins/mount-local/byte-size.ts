import {KeelsonError} from '../../kernel/errors.ts';

const powers = ['', 'k', 'm', 'g', 't', 'p'];

/** `512`, `100MiB`, `1.5g`, `64 kB`: units are powers of 1024 however they are spelled, as in Docker's options. Bytes. Throws INVALID_ARGUMENT. */
export function parseByteSize(text: string): number {
	const {number, unit} = /^(?<number>\d+(?:\.\d+)?) ?(?:(?<unit>[kmgtp])i?)?b?$/i.exec(text)?.groups ?? {};
	const bytes = Math.floor(Number(number) * 1024 ** powers.indexOf((unit ?? '').toLowerCase()));
	if (!Number.isSafeInteger(bytes)) {
		throw new KeelsonError('INVALID_ARGUMENT', `size ${JSON.stringify(text)} is no number of bytes, such as 100MiB`);
	}
	return bytes;
}
