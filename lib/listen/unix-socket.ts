import {chmod, chown, lstat, mkdir, mkdtemp, rename, rm, rmdir} from 'node:fs/promises';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {once} from 'node:events';
import {dirname, join} from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';

/** `sun_path` of unix(7), without the terminating zero. */
const PATH_MAX_BYTES = 107;
const PROBE_MS = 2000;

export interface SocketOwner {
	readonly uid: number;
	readonly gid: number;
}

/**
 * Listens at `path`, mode 0600, or 0660 for a group other than root's, which else would own it to no purpose; directories that are missing above it are made 0711. A socket that nobody answers any more is replaced.
 * Rejects with FAILED_PRECONDITION where something answers, or where `path` is no socket; INVALID_ARGUMENT when it is too long or not absolute.
 */
export async function listenUnix(path: string, owner: SocketOwner, accept: (socket: Socket) => void): Promise<AsyncDisposable> {
	if (!path.startsWith('/') || Buffer.byteLength(path) > PATH_MAX_BYTES) {
		throw new KeelsonError('INVALID_ARGUMENT', `socket ${path} must be an absolute path of at most ${PATH_MAX_BYTES} bytes, it has ${Buffer.byteLength(path)}`);
	}
	await mkdir(dirname(path), {recursive: true, mode: 0o711});
	await refuseLiving(path);
	await using half = new AsyncDisposableStack();
	// Bound where nobody else can reach it, and moved to its place once mode and owner are right.
	const nursery = await mkdtemp(`${dirname(path)}/.`);
	half.defer(() => rm(nursery, {recursive: true, force: true}));
	const born = join(nursery, 's');
	const server = createServer({allowHalfOpen: true}, accept);
	server.listen(born);
	await once(server, 'listening');
	half.defer(() => close(server));
	await chmod(born, owner.gid === 0 ? 0o600 : 0o660);
	await chown(born, owner.uid, owner.gid);
	const {ino} = await lstat(born);
	await rename(born, path);
	await rmdir(nursery);
	half.defer(() => removeOwn(path, ino));
	return half.move();
}

async function refuseLiving(path: string): Promise<void> {
	const found = await lstat(path).catch(ignoreMissing);
	if (found === undefined) {
		return;
	}
	if (!found.isSocket()) {
		throw new KeelsonError('FAILED_PRECONDITION', `${path} is there and is no socket`);
	}
	const socket = connect(path);
	try {
		await once(socket, 'connect', {signal: AbortSignal.timeout(PROBE_MS)});
	} catch (error) {
		if (error instanceof Error && 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT')) {
			return;
		}
		throw new KeelsonError('FAILED_PRECONDITION', `cannot tell whether somebody answers at ${path}`, {cause: error});
	} finally {
		socket.destroy();
	}
	throw new KeelsonError('FAILED_PRECONDITION', `another process answers at ${path}`);
}

/** Another daemon may have put its own there meanwhile. */
async function removeOwn(path: string, ino: number): Promise<void> {
	const found = await lstat(path).catch(ignoreMissing);
	if (found?.ino === ino) {
		await rm(path, {force: true});
	}
}

function ignoreMissing(error: unknown): undefined {
	if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
		throw error;
	}
}

function close(server: Server): void {
	// Connections are ended by whoever took them; waiting for them here would wait for ever.
	server.close();
}
