import test from 'ava';
import {DiffDefinition} from '../../api/gen/services/diff/v1/diff.ts';
import {grpcService, namespaceOf} from '../../contracts/grpc/grpc.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {ContentProxy} from '../../plugins/proxy-grpc/content-proxy.ts';
import {DiffProxy} from '../../plugins/proxy-grpc/diff-proxy.ts';
import {plugin} from '../../plugins/proxy-grpc/plugin.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';

function make(proxies?: Readonly<Record<string, unknown>>) {
	const refused: string[] = [];
	const plugins = plugin(proxies === undefined ? {} : {proxy_plugins: proxies}, (path, reason) => refused.push(`${path.join('.')} ${reason}`));
	return {plugins, refused, ids: plugins.map(({id}) => id)};
}

test('each entry of proxy_plugins is a plugin of its kind', t => {
	const {plugins, ids, refused} = make({
		stargz: {type: 'snapshot', address: '/run/stargz.sock', exports: {root: '/var/lib/stargz'}, capabilities: ['remap-ids']},
		far: {type: 'content', address: '/run/far.sock'},
		odd: {type: 'diff', address: '/run/odd.sock'},
	});
	t.deepEqual(ids, ['io.containerd.snapshotter.v1.stargz', 'io.containerd.content.v1.far', 'io.containerd.differ.v1.odd']);
	t.like(plugins[0], {exports: {root: '/var/lib/stargz', address: '/run/stargz.sock'}, capabilities: ['remap-ids']});
	t.deepEqual([refused, make().plugins], [[], []]);
});

test('an entry of another type, or without an address, is refused by its key and spoils no other', t => {
	const {ids, refused} = make({x: {type: 'sandbox', address: '/run/x.sock'}, y: {type: 'snapshot', address: ''}, z: {type: 'snapshot', address: '/z'}});
	t.deepEqual(ids, ['io.containerd.snapshotter.v1.z']);
	t.deepEqual(refused, [
		'proxy_plugins.x.type is "sandbox", expected "snapshot", "content" or "diff"',
		'proxy_plugins.y.address is empty, expected the path of a socket, or unix:///path, or dns:///host:port',
	]);
});

test('a differ is asked in the namespace of the caller', async t => {
	const asked: string[] = [];
	const service = grpcService(DiffDefinition, {
		apply: async ({diff}, context) => {
			asked.push(namespaceOf(context));
			return {applied: diff};
		},
	});
	await using room = await GrpcRoom.open([service]);
	const content = new MemoryContentStore();
	await using proxy = new DiffProxy(new Connection({address: room.address, headers: {'containerd-namespace': 'default'}}), content);
	await using writer = await content.writer({ref: 'r'});
	const digest = await writer.commit();
	const layer = {descriptor: {mediaType: mediaTypes.ociLayer, digest, size: 0}, async *read() {}};
	await proxy.apply(layer, []);
	await proxy.apply(layer, [], {namespace: 'mine'});
	t.deepEqual(asked, ['default', 'mine']);
});

test('a peer that is not there is UNAVAILABLE, soon', async t => {
	await using proxy = new ContentProxy(new Connection({address: '/nonexistent/keelson.sock'}));
	await t.throwsAsync(proxy.status('r'), {code: 'UNAVAILABLE'});
});
