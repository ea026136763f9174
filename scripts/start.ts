/** What `npm start` does once everything is installed; scripts/start is the way in. */

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {createServer, type AddressInfo} from 'node:net';
import {homedir} from 'node:os';
import {join, relative} from 'node:path';
import {accepts} from '../lib/listen/accepts.ts';
import {identity} from './start-identity.ts';
import {pushFirstImage} from './start-image.ts';
import {StartService} from './start-service.ts';

const repository = join(import.meta.dirname, '..');
const keep = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'keelson/start');
const state = process.env['KEELSON_START_STATE'] ?? '/run/keelson-demo';
const address = join(state, 'keelson.sock');
const keelson = join(repository, 'bin/keelson');
const container = 'hello';
const isTerminal = process.stdout.isTTY;

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
	// npm passes on what the terminal has sent already: it may come twice.
	process.on(name, () => stop.abort(new Error(`${name} came`)));
}

async function main(): Promise<void> {
	await using lifetime = new AsyncDisposableStack();
	await mkdir(keep, {recursive: true, mode: 0o700});
	await mkdir(state, {recursive: true, mode: 0o711});
	await claim(join(keep, 'start.pid'));

	const host = `127.0.0.1:${await port()}`;
	lifetime.use(await startRegistry(host));
	const image = await pushFirstImage(host, 'hello');
	say(`A registry serves on ${host}, with an image made of this machine's busybox.`);

	const began = performance.now();
	const daemon = lifetime.use(await startDaemon());
	lifetime.defer(removeContainers);
	say(`keelsond serves on ${address}, ready after ${((performance.now() - began) / 1000).toFixed(1)} s.`);
	await removeContainers();

	await show('pull', '--plain-http', image);
	await show('run', '--rm', image, 'cat', 'hello');
	await show('run', '-d', '--name', container, image, 'sleep', '86400');
	await show('exec', container, 'ps');
	await show('ps');
	await show('images');
	if (!isTerminal) {
		say('\nThere is no terminal here: keelsond stops.');
		return;
	}
	say(['',
		'keelsond serves until Ctrl-C. Go on in another shell, for example with containerd\'s own client:',
		`  ctr -a ${address} run --rm -t ${image} c1 sh`,
		`  ctr -a ${address} tasks exec -t --exec-id e1 ${container} sh`,
		`  ctr -a ${address} images ls`,
		`  ${relative(process.cwd(), keelson)} -a ${address} --help`,
	].join('\n'));
	await daemon.ended(stop.signal);
	if (!stop.signal.aborted) {
		throw new Error(`keelsond has ended by itself; its log is ${join(keep, 'keelsond.log')}`);
	}
	say('\nkeelsond stops.');
}

/** Rejects when another start serves. One that was killed does not count. */
async function claim(file: string): Promise<void> {
	const recorded = await readFile(file, 'utf8').catch(() => '');
	const pid = Number(recorded.split(' ')[0]);
	if (recorded !== '' && await identity(pid) === recorded) {
		throw new Error(`another npm start serves on ${address} (process ${pid}): use it, or stop it first`);
	}
	await writeFile(file, await identity(process.pid) ?? '');
}

/** The port of the last start if it is free, so that the image keeps its name. */
async function port(): Promise<number> {
	const file = join(keep, 'port');
	const last = Number(await readFile(file, 'utf8').catch(() => '0'));
	const free = await freePort(last).catch(async () => freePort(0));
	await writeFile(file, String(free));
	return free;
}

async function freePort(wanted: number): Promise<number> {
	const server = createServer().listen(wanted, '127.0.0.1');
	await once(server, 'listening');
	const {port} = server.address() as AddressInfo;
	server.close();
	await once(server, 'close');
	return port;
}

async function startRegistry(host: string): Promise<StartService> {
	const config = join(keep, 'registry.yml');
	await writeFile(config, [
		'version: 0.1',
		'log: {level: error, accesslog: {disabled: true}}',
		`storage: {filesystem: {rootdirectory: ${JSON.stringify(join(keep, 'registry'))}}}`,
		`http: {addr: ${JSON.stringify(host)}}`,
		'',
	].join('\n'));
	const isReady = async (): Promise<boolean> => fetch(`http://${host}/v2/`).then(({ok}) => ok, () => false);
	return StartService.start('docker-registry', ['serve', config], {log: join(keep, 'registry.log'), pidFile: join(keep, 'registry.pid'), isReady, signal: stop.signal});
}

async function startDaemon(): Promise<StartService> {
	const args = ['--config', join(repository, 'config.toml'), '--root', join(keep, 'root'), '--state', state, '--address', address];
	return StartService.start(join(repository, 'bin/keelsond'), args, {log: join(keep, 'keelsond.log'), pidFile: join(keep, 'keelsond.pid'), isReady: async () => accepts(address), signal: stop.signal});
}

/** Shows a command line, and what it prints. */
async function show(...args: readonly string[]): Promise<void> {
	stop.signal.throwIfAborted();
	say(`\n$ keelson ${args.join(' ')}`);
	const child = spawn(keelson, ['-a', address, ...args], {stdio: ['ignore', 'inherit', 'inherit']});
	const [code] = await once(child, 'exit') as [number | null];
	stop.signal.throwIfAborted();
	if (code !== 0) {
		throw new Error(`keelson ${args.join(' ')} ended with ${code ?? 'a signal'}; keelsond's log is ${join(keep, 'keelsond.log')}`);
	}
}

/** Whoever started them: containers outlive keelsond, and after this start nothing shall be left. */
async function removeContainers(): Promise<void> {
	const namespaces = (await ask('ctr', ['-a', address, 'namespaces', 'ls', '-q'])).split('\n').filter(name => name !== '');
	for (const namespace of namespaces) {
		const rows = JSON.parse(await ask(keelson, ['-a', address, '-n', namespace, 'ps', '--json'])) as readonly {readonly id: string}[];
		if (rows.length > 0) {
			await ask(keelson, ['-a', address, '-n', namespace, 'rm', '-f', ...rows.map(({id}) => id)]);
		}
	}
}

async function ask(file: string, args: readonly string[]): Promise<string> {
	// A session of its own: the Ctrl-C that ends the start must not end its tidying.
	const child = spawn(file, args, {stdio: ['ignore', 'pipe', 'inherit'], detached: true});
	let text = '';
	child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
		text += chunk;
	});
	const [code] = await once(child, 'close') as [number | null];
	if (code !== 0) {
		throw new Error(`${[file, ...args].join(' ')} ended with ${code ?? 'a signal'}`);
	}
	return text;
}

function say(text: string): void {
	process.stdout.write(`${text}\n`);
}

function describe(error: unknown): string {
	if (error instanceof SuppressedError) {
		return `${describe(error.error)}; after: ${describe(error.suppressed)}`;
	}
	return error instanceof Error ? error.message : String(error);
}

try {
	await main();
} catch (error) {
	if (error !== stop.signal.reason) {
		process.stderr.write(`npm start: ${describe(error)}\n`);
		process.exitCode = 1;
	}
}
