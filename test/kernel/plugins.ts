import * as z from 'zod';
import {Config} from '../../kernel/config.ts';
import {boot, type BootOptions, type Running} from '../../kernel/boot.ts';
import {contract, type Contract, definePlugin, type InitContext, type Plugin, type Requirement} from '../../kernel/index.ts';
import {LineLogger} from '../../kernel/log.ts';
import type {Room} from './room.ts';

/** The contract of test plugins called `name`. */
export const contractOf = (name: string): Contract<unknown> => contract(`io.test.${name}.v1`).for<unknown>();

type Context = InitContext<unknown, Readonly<Record<string, unknown>>>;

export interface Options {
	requires?: Readonly<Record<string, Requirement>>;
	name?: string;
	config?: z.ZodType;
	aliases?: readonly string[];
	initTimeoutMs?: number;
	init?: (context: Context) => unknown;
}

/** A plugin that provides `io.test.<kind>.v1`. */
export function plugin(kind: string, {requires = {}, name = 'it', config = z.strictObject({}), init = () => kind, ...more}: Options = {}): Plugin {
	const id = `io.test.${kind}.v1.${name}` as const;
	return definePlugin({id, provides: contract(`io.test.${kind}.v1`).for<unknown>(), requires, config, init, ...more});
}

/** Boots plugins in a room; `lines` has what was logged. */
export async function bootIn(
	room: Room, plugins: readonly Plugin[], table: Readonly<Record<string, unknown>> = {}, more: Partial<BootOptions> = {},
): Promise<{running: Running; lines: string[]}> {
	const lines: string[] = [];
	const config = await Config.of({root: `${room.path}/root`, state: `${room.path}/state`, ...table});
	const log = new LineLogger({level: 'debug', format: 'text', write: (line) => lines.push(line)});
	return {running: await boot({loaded: {plugins, failures: []}, config, log, ...more}), lines};
}
