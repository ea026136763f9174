import * as z from 'zod';

const id = z.int().min(0).default(0);
const names = z.array(z.string()).default([]);
const text = z.string().default('');

/** The keys of config.toml that belong to no plugin: containerd's, and `modules` and `strict`, which are ours. */
export const daemonSchema = z.strictObject({
	version: z.int().optional(),
	strict: z.boolean().default(false),
	root: z.string().startsWith('/'),
	state: z.string().startsWith('/'),
	temp: text,
	plugin_dir: text,
	oom_score: z.int().min(-1000).max(1000).default(0),
	disabled_plugins: names,
	required_plugins: names,
	imports: names,
	modules: names,
	cgroup: z.strictObject({path: text}).prefault({}),
	debug: z.strictObject({
		address: text, uid: id, gid: id, log_trace_id: z.boolean().default(false),
		level: z.enum(['', 'trace', 'debug', 'info', 'warn', 'warning', 'error', 'fatal', 'panic']).default(''),
		format: z.enum(['', 'text', 'json']).default(''),
	}).prefault({}),
	grpc: z.strictObject({
		address: text, uid: id, gid: id,
		tcp_address: text, tcp_tls_ca: text, tcp_tls_cert: text, tcp_tls_key: text, tcp_tls_common_name: text,
		tcp_max_recv_message_size: z.int().optional(), tcp_max_send_message_size: z.int().optional(),
		max_recv_message_size: z.int().min(0).default(16_777_216), max_send_message_size: z.int().min(0).default(16_777_216),
	}).prefault({}),
	ttrpc: z.strictObject({address: text, uid: id, gid: id}).prefault({}),
	metrics: z.strictObject({address: text, grpc_histogram: z.boolean().default(false)}).prefault({}),
	proxy_plugins: z.record(z.string(), z.strictObject({
		type: z.string(), address: z.string(), platform: z.string().optional(),
		exports: z.record(z.string(), z.string()).optional(), capabilities: z.array(z.string()).optional(),
	})).default({}),
	stream_processors: z.record(z.string(), z.strictObject({
		accepts: names, returns: text, path: text, args: names, env: names,
	})).default({}),
	timeouts: z.record(z.string(), z.string()).default({}),
	plugins: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
});

export type DaemonConfig = z.output<typeof daemonSchema>;
