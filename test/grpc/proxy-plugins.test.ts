import test from 'ava';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {ContentProxy} from '../../plugins/proxy-grpc/content-proxy.ts';
import {proxyPlugins} from '../../plugins/proxy-grpc/proxy-plugins.ts';

test('each entry of proxy_plugins is a plugin of its kind', t => {
	const plugins = proxyPlugins({proxy_plugins: {
		stargz: {type: 'snapshot', address: '/run/stargz.sock', exports: {root: '/var/lib/stargz'}, capabilities: ['remap-ids']},
		far: {type: 'content', address: '/run/far.sock'},
		odd: {type: 'diff', address: '/run/odd.sock'},
	}});
	t.deepEqual(plugins.map(({id}) => id), ['io.containerd.snapshotter.v1.stargz', 'io.containerd.content.v1.far', 'io.containerd.differ.v1.odd']);
	t.like(plugins[0], {exports: {root: '/var/lib/stargz', address: '/run/stargz.sock'}, capabilities: ['remap-ids']});
	t.deepEqual(proxyPlugins({}), []);
});

test('an entry of another type is refused', t => {
	t.throws(() => proxyPlugins({proxy_plugins: {x: {type: 'sandbox', address: '/run/x.sock'}}}), {code: 'INVALID_ARGUMENT', message: /x is of type "sandbox"/});
});

test('a peer that is not there is UNAVAILABLE, soon', async t => {
	await using proxy = new ContentProxy(new Connection({address: '/nonexistent/keelson.sock'}));
	await t.throwsAsync(proxy.status('r'), {code: 'UNAVAILABLE'});
});
