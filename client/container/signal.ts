import {constants} from 'node:os';
import {KeelsonError} from '../../kernel/errors.ts';

/** `SIGTERM`, `TERM` (in any case) or `15` as a number. Rejects with INVALID_ARGUMENT. */
export function signalNumber(signal: string | number): number {
	const text = String(signal).trim().toUpperCase();
	const number = /^[0-9]+$/.test(text) ? Number(text) : (constants.signals as Readonly<Record<string, number>>)[text.startsWith('SIG') ? text : `SIG${text}`];
	if (number === undefined || number < 1 || number > 64) {
		throw new KeelsonError('INVALID_ARGUMENT', `${JSON.stringify(String(signal).slice(0, 40))} is no signal: expected a name such as SIGTERM, or 1 to 64`);
	}
	return number;
}
