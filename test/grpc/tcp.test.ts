import {readFile, writeFile} from 'node:fs/promises';
import {once} from 'node:events';
import {connect} from 'node:net';
import path from 'node:path';
import {promisify} from 'node:util';
import {Client, credentials, type ChannelCredentials, type requestCallback} from '@grpc/grpc-js';
import test from 'ava';
import {VersionDefinition} from '../../api/gen/services/version/v1/version.ts';
import {versionService} from '../../plugins/grpc-version/service.ts';
import {grpcConfig, settingsOf} from '../../plugins/grpc-server/settings.ts';
import {Authority, type Issued} from '../helpers/authority.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';

const {version} = VersionDefinition.methods;
const services = [versionService({version: '1', revision: ''})];

let authority: Authority;
let stranger: Authority;
let server: Issued;
test.before(async () => {
	authority = await Authority.create();
	stranger = await Authority.create();
	server = await authority.issue('server');
});
test.after.always(async () => {
	await authority?.[Symbol.asyncDispose]();
	await stranger?.[Symbol.asyncDispose]();
});

function secure(ca: Issued, client?: Issued): ChannelCredentials {
	return credentials.createSsl(Buffer.from(ca.certificate), client && Buffer.from(client.key), client && Buffer.from(client.certificate));
}

async function openTcp(config: Readonly<Record<string, unknown>>): Promise<{readonly room: GrpcRoom; readonly address: string}> {
	const room = await GrpcRoom.open(services, {config: {tcp_address: '127.0.0.1:0', ...config}});
	return {room, address: room.addresses.find(each => each.startsWith('tcp://'))?.slice('tcp://'.length) ?? ''};
}

/** One call, on a connection of its own. */
async function ask(address: string, how: ChannelCredentials, bytes = 0): Promise<string> {
	const client = new Client(address, how, {'grpc.use_local_subchannel_pool': 1});
	try {
		const call = promisify((done: requestCallback<string>) => client.makeUnaryRequest(
			`/${VersionDefinition.fullName}/${version.name}`, () => Buffer.alloc(bytes, Buffer.from([0x0a, 0x00])), reply => version.responseType.decode(reply).version,
			{}, {deadline: Date.now() + 5000}, done,
		));
		return await call() ?? '';
	} finally {
		client.close();
	}
}

test('TLS is spoken where there is a certificate, and plain text is not', async t => {
	const {room, address} = await openTcp({tcp_tls_cert: server.certificateFile, tcp_tls_key: server.keyFile});
	await using _ = room;
	t.is(await ask(address, secure(authority.root)), '1');
	await t.throwsAsync(ask(address, credentials.createInsecure()), {message: /UNAVAILABLE|DEADLINE/});
	await t.throwsAsync(ask(address, secure(stranger.root)), {message: /UNAVAILABLE|DEADLINE/});
	t.is(await ask(address, secure(authority.root)), '1');
});

test('with an authority, clients must show a certificate that it signed', async t => {
	const {room, address} = await openTcp({tcp_tls_cert: server.certificateFile, tcp_tls_key: server.keyFile, tcp_tls_ca: authority.root.certificateFile});
	await using _ = room;
	t.is(await ask(address, secure(authority.root, await authority.issue('client'))), '1');
	await t.throwsAsync(ask(address, secure(authority.root)), {message: /UNAVAILABLE|DEADLINE/});
	await t.throwsAsync(ask(address, secure(authority.root, await stranger.issue('client'))), {message: /UNAVAILABLE|DEADLINE/});
	t.is((await room.client.unary(VersionDefinition.fullName, version, {})).version, '1');
});

test('a client that does not finish its handshake holds up neither others nor the end', async t => {
	const {room, address} = await openTcp({tcp_tls_cert: server.certificateFile, tcp_tls_key: server.keyFile});
	const [host = '', port = ''] = address.split(':');
	const silent = connect(Number(port), host);
	silent.on('error', () => undefined);
	await once(silent, 'connect');
	t.is(await ask(address, secure(authority.root)), '1');
	await room[Symbol.asyncDispose]();
	silent.destroy();
});

test('the TCP address has limits of its own, and by default those of the socket', t => {
	const {grpc, tcp} = settingsOf(grpcConfig.parse({max_recv_message_size: 1000, max_send_message_size: 2000, tcp_address: 'x:1', tcp_max_recv_message_size: 10}), {});
	t.like(grpc, {receiveMax: 1000, sendMax: 2000});
	t.like(tcp, {receiveMax: 10, sendMax: 2000});
});

test('a request over the TCP address\'s own limit is refused there, and taken by the socket', async t => {
	const {room, address} = await openTcp({tcp_max_recv_message_size: 10});
	await using _ = room;
	t.is(await ask(address, credentials.createInsecure(), 10), '1');
	await t.throwsAsync(ask(address, credentials.createInsecure(), 12), {message: /RESOURCE_EXHAUSTED: received message larger than max \(12 vs\. 10\)/});
});

test('files that make no sense together, or are none, are refused', async t => {
	const file = path.join(authority.directory, 'garbage');
	await writeFile(file, 'garbage');
	const [tcp_tls_cert, tcp_tls_key] = [server.certificateFile, server.keyFile];
	for (const [config, message] of [
		[{tcp_tls_cert}, /tcp_tls_cert ".*" and tcp_tls_key "" go together/],
		[{tcp_tls_key}, /go together/],
		[{tcp_tls_ca: authority.root.certificateFile}, /tcp_tls_ca ".*" asks for clients' certificates, which needs/],
		[{tcp_tls_common_name: 'x'}, /Windows/],
		[{tcp_tls_cert: '/nowhere', tcp_tls_key}, /ENOENT.*\/nowhere/],
		[{tcp_tls_cert: file, tcp_tls_key}, /./],
		[{tcp_address: 'localhost'}, /TCP address "localhost" is not host:port/],
	] as const) {
		await t.throwsAsync(openTcp(config), {message}, JSON.stringify(config));
	}
	t.is(await readFile(file, 'utf8'), 'garbage');
});
