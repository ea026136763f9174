import {mkdtemp, readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {command} from '../helpers/command.ts';
import {programsOf} from '../helpers/releases.ts';
import {Terminal} from '../helpers/terminal.ts';
import {mountsUnder} from '../helpers/traces.ts';
import {sweep} from '../helpers/sweep.ts';
import {until} from '../helpers/until.ts';

const start = fileURLToPath(new URL('../../scripts/start', import.meta.url));

/** A cache and a state directory of the test's own, which go with it. */
async function inFreshPlaces(body: (places: {readonly directory: string; readonly words: readonly string[]; readonly address: string}) => Promise<void>): Promise<void> {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-start-'));
	try {
		const state = path.join(directory, 'state');
		await body({directory, address: path.join(state, 'keelson.sock'), words: [`XDG_CACHE_HOME=${directory}/cache`, `KEELSON_START_STATE=${state}`, 'sh', start]});
	} finally {
		await sweep(directory, new Set());
	}
}

async function nothingIsLeft(t: ExecutionContext, directory: string): Promise<void> {
	t.deepEqual(await mountsUnder(directory), []);
	// A spare shim ends when it sees that its daemon has, which it may have to wait for the processor for.
	await until('processes to end', async () => (await processesOf(directory)).length === 0, {timeoutMs: 5000}).catch(() => undefined);
	t.deepEqual(await processesOf(directory), []);
}

async function processesOf(directory: string): Promise<string[]> {
	const {stdout} = await command('sh', ['-c', `grep -las "$1" /proc/[0-9]*/cmdline | grep -v -e "/$$/" -e "/$PPID/" || true`, 'sh', directory]);
	const left = await Promise.all(stdout.split('\n').filter(line => line !== '').map(async file => readFile(file, 'utf8').catch(() => '')));
	// grep and the shell name the directory themselves.
	return left.map(line => line.replaceAll('\0', ' ')).filter(line => line.includes(directory) && !line.includes('grep'));
}

test.serial('without a terminal it pulls, runs, shows and stops, twice in a row', async t => {
	t.timeout(240_000);
	await inFreshPlaces(async ({directory, words}) => {
		for (const round of ['first', 'second']) {
			const {code, stdout, stderr} = await command('env', words, {timeoutMs: 110_000});
			t.deepEqual({code, stderr}, {code: 0, stderr: ''}, `${round}: ${stdout}`);
			t.regex(stdout, /^keelsond serves on .*keelson\.sock/m);
			t.regex(stdout, /^hello from a container that keelson runs$/m);
			t.regex(stdout, /^hello\t127\.0\.0\.1:\d+\/hello:latest\tsleep 86400\trunning\t/m);
			await nothingIsLeft(t, directory);
		}
	});
});

test.serial('on a terminal it serves ctr until Ctrl-C, also after a start that was killed', async t => {
	t.timeout(240_000);
	await inFreshPlaces(async ({directory, words, address}) => {
		await using killed = new Terminal('env', words);
		await killed.shows(/serves until Ctrl-C/, 60_000);
		const pid = Number((await readFile(path.join(directory, 'cache/keelson/start/start.pid'), 'utf8')).split(' ')[0]);
		const {code, stderr} = await command('env', words);
		t.is(code, 1);
		t.is(stderr, `npm start: another npm start serves on ${address} (process ${pid}): use it, or stop it first\n`);
		process.kill(pid, 'SIGKILL');
		await killed.exit();

		await using terminal = new Terminal('env', words);
		await terminal.shows(/serves until Ctrl-C/, 60_000);
		const line = /ctr -a (?<address>\S+) run --rm -t (?<image>\S+) c1 sh/.exec(terminal.output);
		const ctr = path.join(programsOf('1.6'), 'ctr');
		const ran = await command(ctr, ['-a', line?.groups?.['address'] ?? '', 'run', '--rm', line?.groups?.['image'] ?? '', 'c1', 'echo', 'by ctr']);
		t.deepEqual({code: ran.code, stdout: ran.stdout}, {code: 0, stdout: 'by ctr\n'}, ran.stderr);
		t.is((await command(ctr, ['-a', address, 'run', '-d', line?.groups?.['image'] ?? '', 'forgotten', 'sleep', '1000'])).code, 0);
		terminal.type('\u0003');
		t.is(await terminal.exit(60_000), 0);
		await nothingIsLeft(t, directory);
	});
});

test.serial('without root it says in one sentence what it needs', async t => {
	// The checkout may lie where nobody else may look: the script comes on standard input.
	const script = await readFile(start, 'utf8');
	const {code, stdout, stderr} = await command('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-s'], {input: script.replace('cd "$(dirname "$0")/.."', ''), cwd: '/'});
	t.is(code, 1);
	t.is(stdout, '');
	t.regex(stderr, /^npm start needs root[^\n]+\.\n$/);
});
