import type {MetricFamily, MetricSample} from '../../contracts/metrics/metrics.ts';

/** The `content-type` of the text. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8';

/** Text that is gathered before it is handed on. */
const CHUNK_CHARACTERS = 64 * 1024;

/** Families in Prometheus's text format (prometheus.io/docs/instrumenting/exposition_formats), in the order of their names; those without samples are left out. */
export function* exposition(families: readonly MetricFamily[]): Generator<string, void, undefined> {
	let text = '';
	for (const {name, help, type, samples} of families.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
		let isFirst = true;
		for (const sample of samples) {
			if (isFirst) {
				text += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
				isFirst = false;
			}
			text += line(name, sample);
			if (text.length > CHUNK_CHARACTERS) {
				yield text;
				text = '';
			}
		}
	}
	if (text !== '') {
		yield text;
	}
}

function line(name: string, {suffix = '', labels, value}: MetricSample): string {
	const pairs = labels.map(([label, text]) => `${label}="${text.replace(/[\\"\n]/g, escape)}"`);
	return `${name}${suffix}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${number(value)}\n`;
}

function escape(character: string): string {
	return character === '\n' ? '\\n' : `\\${character}`;
}

function number(value: number): string {
	return Number.isNaN(value) ? 'NaN' : value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}
