import {execFile} from 'node:child_process';
import {mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import type {ExecutionContext, TestFn} from 'ava';
import {createNetworkNamespace, removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';
import type {Network, NetworkRequest} from './network.ts';

export interface NetworkSubject {
	readonly name: string;
	/** The plugin as a daemon has it after its start. Called again, it stands for a daemon that was restarted. */
	create(): Promise<Network> | Network;
	/** What a container must bring to be attached at all, for a plugin that goes by it. */
	readonly labels?: NetworkRequest['labels'];
	readonly annotations?: NetworkRequest['annotations'];
}

/** Every network plugin passes this; it needs root, unshare(1), nsenter(1) and ip(8). */
export function networkSuite(test: TestFn, {name, create, labels = {}, annotations = {}}: NetworkSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, network: Network, place: NetworkRequest) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			const directory = await mkdtemp(path.join(tmpdir(), 'keelson-network-suite-'));
			const place = {namespace: 'suite', containerId: path.basename(directory), path: path.join(directory, 'netns'), labels, annotations, signal: AbortSignal.timeout(30_000)};
			await createNetworkNamespace(place.path);
			const network = await create();
			try {
				await tell(t, network, place);
			} finally {
				await network.detach(place);
				await removeNetworkNamespace(place.path);
				await rmdir(directory);
			}
		});
	};

	story('what attach says is there, with its addresses', async (t, network, place) => {
		const {interfaces} = await network.attach(place);
		const found = await interfacesOf(place.path);
		for (const {name: each, addresses} of interfaces) {
			t.true(found.has(each), `${each} is in the namespace`);
			t.deepEqual(addresses.filter(address => found.get(each)?.includes(address) !== true), [], `${each} has its addresses`);
		}
		t.is(new Set(interfaces.map(each => each.name)).size, interfaces.length);
	});

	story('detach leaves the namespace as it was', async (t, network, place) => {
		const before = await interfacesOf(place.path);
		await network.attach(place);
		await network.detach(place);
		t.deepEqual(await interfacesOf(place.path), before);
	});

	story('detach twice is detach', async (t, network, place) => {
		await network.attach(place);
		await network.detach(place);
		await t.notThrowsAsync(network.detach(place));
	});

	story('detach of what was never attached is no error', async (t, network, place) => {
		await t.notThrowsAsync(network.detach(place));
	});

	story('detach works when the namespace is gone', async (t, network, place) => {
		await network.attach(place);
		await removeNetworkNamespace(place.path);
		await t.notThrowsAsync(network.detach(place));
	});

	story('a daemon that was restarted can detach what it never attached', async (t, network, place) => {
		const before = await interfacesOf(place.path);
		await network.attach(place);
		const later = await create();
		// It knows no more than what is pinned.
		await later.detach({...place, labels: {}, annotations: {}});
		t.deepEqual(await interfacesOf(place.path), before);
	});

	story('after a detach the same container can be attached again', async (t, network, place) => {
		const first = await network.attach(place);
		await network.detach(place);
		const second = await network.attach(place);
		t.deepEqual(second.interfaces.map(each => each.name), first.interfaces.map(each => each.name));
	});

	story('an attach that was called off leaves nothing after its detach', async (t, network, place) => {
		const before = await interfacesOf(place.path);
		await network.attach({...place, signal: AbortSignal.abort()}).catch(() => undefined);
		await network.detach(place);
		t.deepEqual(await interfacesOf(place.path), before);
	});

	story('containers of one id in two namespaces do not meet', async (t, network, place) => {
		const other = {...place, namespace: 'suite-other', path: `${place.path}-other`};
		await createNetworkNamespace(other.path);
		try {
			const attached = await network.attach(place);
			await network.attach(other);
			await network.detach(other);
			const found = await interfacesOf(place.path);
			t.deepEqual(attached.interfaces.filter(each => !found.has(each.name)), []);
		} finally {
			await network.detach(other);
			await removeNetworkNamespace(other.path);
		}
	});
}

/** The interfaces of a namespace but for `lo`, each with its addresses in CIDR form. */
async function interfacesOf(namespace: string): Promise<Map<string, string[]>> {
	const {stdout} = await promisify(execFile)('nsenter', [`--net=${namespace}`, 'ip', '-json', 'address']);
	const links = JSON.parse(stdout) as readonly {readonly ifname: string; readonly addr_info: readonly {readonly local: string; readonly prefixlen: number}[]}[];
	return new Map(links.filter(({ifname}) => ifname !== 'lo').map(({ifname, addr_info: addresses}) => [ifname, addresses.map(({local, prefixlen}) => `${local}/${prefixlen}`)]));
}
