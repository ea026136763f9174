/** Images from, and to, registries that speak the OCI distribution protocol. Never learns where bytes go. */

import {homedir} from 'node:os';
import path from 'node:path';
import {z} from 'zod';
import {Registry} from '../../contracts/fetch/fetch.ts';
import {definePlugin} from '../../kernel/index.ts';
import {configuredCredentials} from './credentials.ts';
import {criRegistry} from './cri-registry.ts';
import {dockerConfig} from './docker-config.ts';
import {HttpClient} from './http-client.ts';
import {partsBytesMax} from './ranges.ts';
import {OciRegistry} from './registry.ts';

const text = z.string().default('');

const config = z.strictObject({
	config_path: text.describe('directories with a hosts.toml for each registry host, separated by colons; empty: that of containerd\'s CRI table, if any'),
	stall_timeout: z.number().int().positive().default(30).describe('seconds without a byte after which a download counts as broken'),
	trusted_realms: z.array(z.string()).default([]).describe('hosts of token servers that may be sent credentials, beside those in the registry\'s own domain'),
	parallel_parts: z.number().int().min(1).max(16).default(1).describe('requests at a time for one large blob'),
	part_size: z.number().int().min(64 * 1024).max(16 * 1024 * 1024).default(4 * 1024 * 1024).describe('bytes of each such part; so many are kept in memory for each, 16 MiB with all of them at most'),
	credentials: z.record(z.string(), z.strictObject({username: text, password: text, identity_token: text, helper: text})).default({})
		.describe('who is asking, by registry host: user name and password, a refresh token, or the x of a program docker-credential-x'),
	docker_config: z.string().default('~/.docker/config.json').describe('Docker\'s file of credentials and credential helpers; empty: none'),
}).refine(({parallel_parts: parts, part_size: bytes}) => parts === 1 || parts * bytes <= partsBytesMax, {
	path: ['part_size'],
	error: ({input}) => tooLarge(input as {readonly parallel_parts: number; readonly part_size: number}),
});

export const plugin = definePlugin({
	id: 'io.keelson.fetch.v1.oci',
	provides: Registry,
	requires: {},
	config,

	init({config: table, lifetime, daemon}) {
		const http = lifetime.use(new HttpClient({stallTimeoutMs: table.stall_timeout * 1000, userAgent: `keelson/${daemon.version}`, environment: process.env}));
		const cri = criRegistry(tablesOf(daemon.config['plugins']));
		const docker = table.docker_config.replace(/^~(?=\/)/, homedir());
		return new OciRegistry({
			http,
			hostDirectories: (table.config_path || cri?.configPath || '').split(path.delimiter).filter(part => part !== ''),
			trustedRealms: table.trusted_realms,
			ranges: {concurrency: table.parallel_parts, bytes: table.part_size},
			credentials: [configuredCredentials(table.credentials), ...(cri === undefined ? [] : [cri.credentials]), ...(docker === '' ? [] : [dockerConfig(docker)])],
			...(cri === undefined ? {} : {otherwise: cri.hosts}),
		});
	},
});

function tooLarge({parallel_parts: parts, part_size: bytes}: {readonly parallel_parts: number; readonly part_size: number}): string {
	return `is ${bytes}, which with parallel_parts = ${parts} keeps ${parts * bytes} bytes of a layer in memory, expected ${Math.floor(partsBytesMax / parts)} at most`;
}

function tablesOf(plugins: unknown): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
	return typeof plugins === 'object' && plugins !== null ? plugins as Readonly<Record<string, Readonly<Record<string, unknown>>>> : {};
}
