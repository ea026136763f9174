import {once} from 'node:events';
import {mkdtemp, rm, stat} from 'node:fs/promises';
import {request} from 'node:http';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {text as textOf} from 'node:stream/consumers';
import anyTest, {type TestFn} from 'ava';
import {listenHttp, type HttpListener} from '../../lib/listen/http-listener.ts';
import {debugRoutes} from '../../plugins/debug-inspector/routes.ts';
import {command} from '../helpers/command.ts';
import {Daemon} from '../helpers/daemon.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {programsOf, releases} from '../helpers/releases.ts';
import {until} from '../helpers/until.ts';

// One after another: a profile, or a heap, is taken once at a time.
const test = anyTest.serial as TestFn;

let directory: string;
let listener: HttpListener;
anyTest.before(async () => {
	directory = await mkdtemp(path.join(tmpdir(), 'keelson-debug-'));
	listener = await listenHttp({address: path.join(directory, 'd.sock'), owner: {uid: 0, gid: 7}, routes: debugRoutes(), failed: error => console.error(error)});
});
anyTest.after.always(async () => {
	await listener?.[Symbol.asyncDispose]();
	await rm(directory, {recursive: true, force: true});
});

async function get(what: string, {method = 'GET', socketPath = listener.address} = {}): Promise<{readonly status: number | undefined; readonly type: string | undefined; readonly text: string}> {
	const asked = request({socketPath, path: what, method, agent: false}).end();
	const [response] = await once(asked, 'response');
	return {status: response.statusCode, type: response.headers['content-type'], text: await textOf(response)};
}

test('the socket has the owner that is configured, whose group may use it', async t => {
	const {mode, uid, gid} = await stat(listener.address);
	t.deepEqual([mode & 0o777, uid, gid], [0o660, 0, 7]);
});

test('the index says what there is, and all of it is there', async t => {
	const {text} = await get('/debug/pprof/');
	for (const [what] of text.matchAll(/^\/\S+/gm)) {
		t.is((await get(what === '/debug/pprof/profile' ? `${what}?seconds=0.01` : what)).status, 200, what);
	}
	t.is((await get('/debug/pprof')).text, text);
});

test('what the daemon waits for is told: resources, threads, descriptors', async t => {
	const {text, type} = await get('/debug/pprof/goroutine?debug=2');
	t.is(type, 'text/plain; charset=utf-8');
	t.regex(text, /^\d+ active resources: .*Pipe/);
	t.regex(text, new RegExp(`^${process.pid} \\S.* [RSD]`, 'm'));
	t.true(text.includes(listener.address.replace(/d\.sock$/, '')), text);
});

test('a CPU profile is one that tools open, and a second at once has to wait', async t => {
	const first = get('/debug/pprof/profile?seconds=2');
	await new Promise(resolve => setTimeout(resolve, 100));
	const second = await get('/debug/pprof/profile?seconds=0.1');
	t.deepEqual([second.status, second.text], [503, 'a CPU profile is being taken already\n']);
	const {nodes, startTime, endTime} = JSON.parse((await first).text) as {nodes: readonly {callFrame: object}[]; startTime: number; endTime: number};
	t.true(nodes.length > 1);
	t.true(endTime - startTime > 1_500_000);
	for (const seconds of ['0', '-1', '61', 'x', '1e9', '']) {
		t.is((await get(`/debug/pprof/profile?seconds=${seconds}`)).status, 400, seconds);
	}
});

test('a profile whose asker goes away ends, and the next one is taken', async t => {
	const asked = request({socketPath: listener.address, path: '/debug/pprof/profile?seconds=60', agent: false}).end();
	asked.on('error', () => undefined);
	await new Promise(resolve => setTimeout(resolve, 100));
	asked.destroy();
	await until('the next to be taken', async () => (await get('/debug/pprof/profile?seconds=0.01')).status === 200);
	t.pass();
});

test('a heap snapshot is one that tools open, and one that is not read leaves room for the next', async t => {
	const asked = request({socketPath: listener.address, path: '/debug/pprof/heap', agent: false}).end();
	const [response] = await once(asked, 'response');
	t.is((await get('/debug/pprof/heap')).status, 503);
	response.destroy();
	const next = await until('there to be room', async () => {
		const answer = await get('/debug/pprof/heap');
		return answer.status === 200 && answer.text;
	});
	const {snapshot} = JSON.parse(next) as {snapshot: {node_count: number}};
	t.true(snapshot.node_count > 1000);
});

test('what is not served is refused in one line', async t => {
	t.like(await get('/'), {status: 404});
	t.like(await get('/debug/vars', {method: 'POST'}), {status: 405, text: 'POST is not served here\n'});
	t.like(await get('/__proto__'), {status: 404});
	t.like(JSON.parse((await get('/debug/vars')).text), {pid: process.pid, node: process.version});
});

test('more connections than the limit are closed, and others go on', async t => {
	await using small = await listenHttp({address: path.join(directory, 'full.sock'), owner: {uid: 0, gid: 0}, routes: {'/': () => ({type: 'text/plain', body: 'here'})}, failed: () => undefined});
	let closed = 0;
	const sockets = Array.from({length: 70}, () => connect(small.address).on('error', () => undefined).on('close', () => closed++).resume());
	await until('those that are too many to be closed', () => closed >= 6);
	await new Promise(resolve => setTimeout(resolve, 100));
	t.is(closed, 6);
	for (const socket of sockets) {
		socket.destroy();
	}
	await until('there to be room', async () => (await get('/', {socketPath: small.address}).catch(() => undefined))?.text === 'here');
	t.pass();
});

test('ctr of each release takes profiles of the daemon', async t => {
	t.timeout(60_000);
	await using daemon = await Daemon.start(keelson({config: `[debug]\naddress = ${JSON.stringify(path.join(directory, 'daemon.sock'))}\n`}));
	for (const release of releases) {
		const pprof = async (...args: readonly string[]) => command(path.join(programsOf(release), 'ctr'), ['--address', daemon.places.address, 'pprof', '--debug-socket', path.join(directory, 'daemon.sock'), ...args]);
		t.regex((await pprof('goroutines')).stdout, /^\d+ active resources: /, release);
		t.true(Array.isArray((JSON.parse((await pprof('profile', '--seconds', '1s')).stdout) as {nodes: unknown}).nodes), release);
		t.true('snapshot' in (JSON.parse((await pprof('heap')).stdout) as object), release);
	}
	t.true(await daemon.stop());
	await t.throwsAsync(stat(path.join(directory, 'daemon.sock')), {code: 'ENOENT'});
});

test('an address that somebody answers at is refused', async t => {
	await t.throwsAsync(listenHttp({address: listener.address, owner: {uid: 0, gid: 0}, routes: {}, failed: () => undefined}), {code: 'FAILED_PRECONDITION', message: /another process answers/});
	await t.throwsAsync(listenHttp({address: 'nonsense', owner: {uid: 0, gid: 0}, routes: {}, failed: () => undefined}), {code: 'INVALID_ARGUMENT'});
});
