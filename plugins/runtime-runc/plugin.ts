/** Drives an OCI runtime binary (runc, crun, ...) by its command line. */

import * as z from 'zod';
import {OciRuntimes} from '../../contracts/oci-runtime/oci-runtime.ts';
import {definePlugin} from '../../kernel/index.ts';
import {CommandLineRuntimes} from './runtimes.ts';

/** The table [plugins."io.keelson.oci-runtime.v1.runc"]. */
const config = z.strictObject({
	path: z.string().default('').describe('where binaries are looked for, as in PATH; by default, the daemon\'s own PATH'),
});

export const plugin = definePlugin({
	id: 'io.keelson.oci-runtime.v1.runc',
	provides: OciRuntimes,
	requires: {},
	config,
	init: ({config: {path}}) => new CommandLineRuntimes(path === '' ? {} : {searchPath: path}),
});
