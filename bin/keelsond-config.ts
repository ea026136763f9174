import {configText} from '../kernel/config-text.ts';
import {diagnose} from '../kernel/diagnosis.ts';
import {loadModules} from '../kernel/loader.ts';
import {configFrom} from './keelsond-facts.ts';
import type {Flags} from './keelsond.ts';

/** Carries out `config default`, `dump` or `check`; resolves with the exit status. */
export async function showConfig(command: 'config default' | 'config dump' | 'config check', flags: Flags): Promise<number> {
	const config = await configFrom(flags, {isDefault: command === 'config default'});
	const {tables, problems, failures, unknown} = await diagnose(config, await loadModules(config));
	if (command !== 'config check') {
		process.stdout.write(configText(config, tables));
		return 0;
	}
	const lines = [...[...failures.map(({error}) => error), ...problems.values()].map(({message}) => message), ...unknown];
	for (const line of lines) {
		process.stdout.write(`${line}\n`);
	}
	return lines.length === 0 ? 0 : 1;
}
