/** The shim's process: joins the shim's room and the runtime's. */

import packageFile from '../package.json' with {type: 'json'};
import {CommandLineRuntimes} from '../plugins/runtime-runc/runtimes.ts';
import {runShim} from '../plugins/shim/process/main.ts';

try {
	await runShim({
		name: 'containerd-shim-keelson-v2',
		version: packageFile.version,
		runtimes: run => new CommandLineRuntimes({run}),
		words: process.argv.slice(2),
	});
} catch (error) {
	process.stderr.write(`containerd-shim-keelson-v2: ${error instanceof Error ? error.message : String(error)}\n`);
	process.exitCode = 1;
}
