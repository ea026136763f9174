/**
 * Side by side with Debian's containerd in one run, in turn, same client, same runc, same registry, fresh directories.
 *
 *     npm run bench                  everything
 *     npm run bench -- run           one group: run, memory, many, output, an api-... or a pull-...
 *     npm run bench -- pull          all of a kind: pull, api
 */

import {apiContests} from './api.ts';
import {benchMany, benchMemory} from './memory.ts';
import {benchOutput} from './output.ts';
import {pullContests} from './pull.ts';
import {benchRun} from './run.ts';

const groups: Readonly<Record<string, () => Promise<void>>> = {...pullContests, run: benchRun, memory: benchMemory, many: benchMany, output: benchOutput, ...apiContests};

const asked = process.argv.slice(2);
const isOf = (group: string, name: string): boolean => group === name || group.startsWith(`${name}-`);
const unknown = asked.filter(name => !Object.keys(groups).some(group => isOf(group, name)));
if (unknown.length > 0) {
	console.error(`bench: no group ${unknown.join(', ')}; there are ${Object.keys(groups).join(', ')}`);
	process.exit(2);
}
for (const [name, bench] of Object.entries(groups)) {
	if (asked.length === 0 || asked.some(one => isOf(name, one))) {
		console.log(name);
		try {
			await bench();
		} catch (error) {
			// Node prints of a SuppressedError only that it is one.
			for (let at: unknown = error; at instanceof SuppressedError; at = at.suppressed) {
				console.error(at.error);
				console.error(at.suppressed);
			}
			throw error;
		}
	}
}
