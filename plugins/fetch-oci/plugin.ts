/** Images from, and to, registries that speak the OCI distribution protocol. Never learns where bytes go. */

import {z} from 'zod';
import {Registry} from '../../contracts/fetch/fetch.ts';
import {definePlugin} from '../../kernel/index.ts';
import {HttpClient} from './http-client.ts';
import {OciRegistry} from './registry.ts';

const config = z.strictObject({
	config_path: z.string().default('').describe('directories with a hosts.toml for each registry host, separated by colons'),
	stall_timeout: z.number().int().positive().default(30).describe('seconds without a byte after which a download counts as broken'),
	trusted_realms: z.array(z.string()).default([]).describe('hosts of token servers that may be sent credentials, beside those in the registry\'s own domain'),
});

export const plugin = definePlugin({
	id: 'io.keelson.fetch.v1.oci',
	provides: Registry,
	requires: {},
	config,

	init({config: {config_path: configPath, stall_timeout: stallTimeout, trusted_realms: trustedRealms}, lifetime, daemon}) {
		const http = lifetime.use(new HttpClient({stallTimeoutMs: stallTimeout * 1000, userAgent: `keelson/${daemon.version}`}));
		return new OciRegistry({http, hostDirectories: configPath.split(':').filter(part => part !== ''), trustedRealms});
	},
});
