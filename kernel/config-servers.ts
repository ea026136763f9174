import {isTable, setAt, type Table} from './table.ts';

const SERVER = 'io.containerd.server.v1.';
/** Where format 4 has what formats 2 and 3 call `grpc_histogram` of `[metrics]`. */
const COUNTS = 'io.containerd.metrics.v1.grpc-prometheus';
const TCP = 'tcp_';

/** Where a table of `plugins` goes in the kernel's own form, which has servers at the top as formats 1 to 3 do; undefined when it stays. */
export function serverDestinations(id: string, table: Table): {to: string[]; value: unknown; from: string[]}[] | undefined {
	const from = ['plugins', id];
	if (id === `${SERVER}grpc-tcp`) {
		return Object.entries(table).map(([key, value]) => ({to: ['grpc', `${TCP}${key}`], value, from: [...from, key]}));
	}
	const to = serverTable(id);
	return to === undefined ? undefined : [{to, value: table, from}];
}

/** Where the kernel keeps the table of a plugin that containerd gave a table at the top until format 3. */
export function serverTable(id: string): string[] | undefined {
	const name = id.startsWith(SERVER) ? id.slice(SERVER.length) : '';
	return ['grpc', 'ttrpc', 'debug', 'metrics'].includes(name) ? [name] : undefined;
}

/** The kernel's own form as format 4 has it: each server's table among the plugins, and at the top of `[debug]` what is about the log. */
export function inFormat4({grpc, ttrpc, debug, metrics, plugins, ...top}: Table): Table {
	const {address, uid, gid, ...log} = tableOf(debug);
	const {grpc_histogram: hasHistogram, ...server} = tableOf(metrics);
	const isTcp = ([key]: [string, unknown]): boolean => key.startsWith(TCP);
	const all = Object.entries(tableOf(grpc));
	const servers: Table = {
		[`${SERVER}debug`]: {address, uid, gid},
		[`${SERVER}grpc`]: Object.fromEntries(all.filter(entry => !isTcp(entry))),
		[`${SERVER}grpc-tcp`]: Object.fromEntries(all.filter(isTcp).map(([key, value]) => [key.slice(TCP.length), value])),
		[`${SERVER}metrics`]: server,
		[`${SERVER}ttrpc`]: tableOf(ttrpc),
	};
	const merged: Table = {...tableOf(plugins), ...servers};
	if (hasHistogram === true) {
		setAt(merged, [COUNTS, 'grpc_histogram'], true);
	}
	return {...top, debug: log, plugins: Object.fromEntries(Object.entries(merged).toSorted(([a], [b]) => a < b ? -1 : 1))};
}

function tableOf(value: unknown): Table {
	return isTable(value) ? value : {};
}
