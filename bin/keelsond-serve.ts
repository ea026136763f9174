import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {boot} from '../kernel/boot.ts';
import {KeelsonError} from '../kernel/errors.ts';
import {loadModules} from '../kernel/loader.ts';
import {lockDirectory} from '../kernel/lock.ts';
import {LineLogger} from '../kernel/log.ts';
import {configFrom, facts} from './keelsond-facts.ts';
import type {Flags} from './keelsond-line.ts';

/** Serves until a signal; resolves with the exit status. */
export async function serve(flags: Flags): Promise<number> {
	const signal = stopSignal();
	const binary = takeFromEnvironment('KEELSOND_BINARY') ?? process.argv[1] ?? '';
	const manager = takeFromEnvironment('NOTIFY_SOCKET');
	const [config, {version, revision}] = await Promise.all([configFrom(flags), facts()]);
	const {root, state, temp, oom_score: oomScore, cgroup: {path: group}, debug: {level, format}} = config.daemon;
	const log = new LineLogger({
		level: level === 'warning' ? 'warn' : level || 'info',
		format: format === 'json' ? 'json' : 'text',
		write: (line) => process.stderr.write(line),
	});
	for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
		process.on(event, (error: unknown) => {
			log.line('fatal', 'keelsond must end: an error that nobody handles', {error, event});
			process.exit(1);
		});
	}
	// A reader of the log that went away is no reason to end.
	process.stderr.on('error', () => undefined);
	process.on('SIGHUP', () => log.info('SIGHUP changes nothing: restart keelsond to read the configuration again'));
	log.info('starting keelsond', {version, revision, root, state});

	await makeDirectory(root, 0o700);
	await makeDirectory(state, 0o711);
	using _lock = await lockDirectory(root);
	if (temp !== '') {
		await mkdir(temp, {recursive: true, mode: 0o700});
		process.env['TMPDIR'] = temp;
	}
	if (oomScore !== 0) {
		await writeFile('/proc/self/oom_score_adj', String(oomScore));
	}
	if (group !== '') {
		await (await import('../lib/sys/control-group.ts')).joinCgroup(group, process.pid);
	}
	const loaded = await loadModules(config);
	try {
		await using running = await boot({loaded, config, log, version, revision, binary, signal});
		const started = running.status.plugins().filter((plugin) => plugin.state === 'started').length;
		log.info('keelsond is ready', {address: config.daemon.grpc.address, plugins: started, seconds: Number(process.uptime().toFixed(3))});
		await notify(manager, 'READY=1', log);
		await aborted(signal);
		log.info('keelsond stops');
		await notify(manager, 'STOPPING=1', log);
	} catch (error) {
		if (!signal.aborted) {
			throw error;
		}
	}
	log.info('keelsond has stopped');
	return 0;
}

/** Aborts at the first SIGTERM or SIGINT; the second one ends the process at once. */
function stopSignal(): AbortSignal {
	const stop = new AbortController();
	for (const name of ['SIGTERM', 'SIGINT'] as const) {
		process.on(name, () => {
			if (stop.signal.aborted) {
				process.exit(1);
			}
			stop.abort(new Error(`${name} came`));
		});
	}
	return stop.signal;
}

async function aborted(signal: AbortSignal): Promise<void> {
	// The timer keeps the process alive: a daemon without a plugin that listens has nothing else to wait for.
	const timer = setInterval(() => undefined, 60_000);
	const {promise, resolve} = Promise.withResolvers<void>();
	signal.addEventListener('abort', () => resolve(), {once: true});
	if (!signal.aborted) {
		await promise;
	}
	clearInterval(timer);
}

async function makeDirectory(path: string, mode: number): Promise<void> {
	try {
		await mkdir(path, {recursive: true});
		await chmod(path, mode);
	} catch (error) {
		const why = process.getuid?.() === 0 ? '' : ' keelsond is to run as root, or with --root and --state in directories of its user.';
		throw new KeelsonError('PERMISSION_DENIED', `${path} cannot be made: ${error instanceof Error ? error.message : String(error)}.${why}`, {cause: error});
	}
}

// Processes that the daemon starts must not take for theirs what was meant for it: runc would hand NOTIFY_SOCKET to containers.
function takeFromEnvironment(name: string): string | undefined {
	const value = process.env[name];
	delete process.env[name];
	return value;
}

/** Tells the service manager that waits, if one does, how the daemon stands. */
async function notify(socket: string | undefined, state: string, log: LineLogger): Promise<void> {
	if (socket === undefined || socket === '') {
		return;
	}
	try {
		(await import('../lib/sys/notify.ts')).notify(socket, state);
	} catch (error) {
		log.warn('the service manager was not told', {state, socket, error});
	}
}
