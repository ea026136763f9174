import {defineCommand} from './command.ts';
import {jsonText} from './json-text.ts';

export const events = defineCommand({
	name: 'events',
	summary: 'show what happens in the daemon',
	usage: `Usage: keelson events [options] [FILTER...]

Prints what happens from now on, in all namespaces, until Ctrl-C: time, namespace, topic, fields. A FILTER is
topic=="/tasks/exit", topic~=|^/images/|, namespace==default; what matches any of them is shown.
`,
	options: {},
	arguments: {least: 0, most: Number.POSITIVE_INFINITY},
	async run({client, output, positionals, signal}) {
		for await (const {at, namespace, topic, type, fields, body} of client.events({filters: positionals, signal})) {
			if (output.isJson) {
				output.json({at, namespace, topic, type, ...(fields === undefined ? {body} : {fields})});
			} else {
				const cells = [at?.toISOString() ?? '-', namespace, topic, fields === undefined ? type : jsonText(fields)];
				output.line(cells.join(output.isTerminal ? '  ' : '\t'));
			}
		}
		return 0;
	},
});
