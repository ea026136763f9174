import {defineCommand} from './command.ts';
import {humanAge} from './human.ts';

const COMMAND_WIDTH = 40;

export const ps = defineCommand({
	name: 'ps',
	summary: 'list containers',
	usage: `Usage: keelson ps [options]

Lists the containers of the namespace, running or not: id, image, command, status, process id, time.
`,
	options: {},
	arguments: {least: 0, most: 0},
	async run({client, output, signal}) {
		const rows = (await client.ps({signal})).map(({id, image, spec, task, createdAt, labels}) => ({
			id, image, command: spec?.process?.args ?? [], status: task?.status ?? 'created', pid: task?.pid ?? 0,
			...(task?.status === 'stopped' ? {exitCode: task.exitCode, exitedAt: task.exitedAt} : {}),
			createdAt, labels,
		}));
		output.list(rows, [
			{heading: 'ID', plain: ({id}) => id},
			{heading: 'IMAGE', plain: ({image}) => image},
			{heading: 'COMMAND', plain: ({command}) => command.join(' '), human: ({command}) => shortened(command.join(' '))},
			{heading: 'STATUS', plain: ({status}) => status, human: ({status, exitCode}) => exitCode === undefined ? status : `${status} (${exitCode})`},
			{heading: 'PID', plain: ({pid}) => pid === 0 ? '-' : String(pid)},
			{heading: 'CREATED', plain: ({createdAt}) => createdAt?.toISOString() ?? '-', human: ({createdAt}) => humanAge(createdAt)},
		]);
		return 0;
	},
});

function shortened(text: string): string {
	return text.length > COMMAND_WIDTH ? `${text.slice(0, COMMAND_WIDTH - 1)}…` : text;
}
