import {configText} from '../kernel/config-text.ts';
import {diagnose} from '../kernel/diagnosis.ts';
import {loadModules} from '../kernel/loader.ts';
import {configFrom} from './keelsond-facts.ts';
import type {Flags} from './keelsond-line.ts';
import {newestPluginName} from './older-plugin-names.ts';

const COMMANDS = ['config default', 'config dump', 'config migrate', 'config check'] as const;
export type ConfigCommand = typeof COMMANDS[number];

export function isConfigCommand(command: string): command is ConfigCommand {
	return (COMMANDS as readonly string[]).includes(command);
}

/** Carries out a command about the configuration; resolves with the exit status. */
export async function showConfig(command: ConfigCommand, flags: Flags): Promise<number> {
	const isMigration = command === 'config migrate';
	const config = await configFrom(flags, {isDefault: command === 'config default', followsImports: !isMigration});
	const {tables, problems, failures, unknown} = await diagnose(config, await loadModules(config));
	if (command !== 'config check') {
		process.stdout.write(configText(config, tables, isMigration ? {imports: config.daemon.imports, names: newestPluginName} : {}));
		return 0;
	}
	const lines = [...[...failures.map(({error}) => error), ...problems.values()].map(({message}) => message), ...unknown];
	for (const line of lines) {
		process.stdout.write(`${line}\n`);
	}
	return lines.length === 0 ? 0 : 1;
}
