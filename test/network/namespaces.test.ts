import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import type {PinnedNamespace} from '../../contracts/network/network.ts';
import {networkNamespacesSuite} from '../../contracts/network/network-namespaces.suite.ts';
import {removeNetworkNamespace} from '../../lib/sys/network-namespace.ts';
import {PinnedNamespaces} from '../../plugins/network-none/pinned-namespaces.ts';
import {MemoryNamespaces} from './memory-namespaces.ts';

async function directory(): Promise<AsyncDisposable & {path: string}> {
	const place = await mkdtemp(path.join(tmpdir(), 'keelson-netns-'));
	return {
		path: place,
		[Symbol.asyncDispose]: async () => {
			for (const name of await readdir(place)) {
				if (!name.startsWith('.')) {
					await removeNetworkNamespace(path.join(place, name));
				}
			}
			await rm(place, {recursive: true, force: true});
		},
	};
}

networkNamespacesSuite(test, {name: 'network-none', directory, isReal: true, open: async place => PinnedNamespaces.open(place)});

const pins = new Map<string, Map<string, PinnedNamespace>>();
networkNamespacesSuite(test, {
	name: 'memory', directory, isReal: false,
	open: async place => {
		const kept = pins.get(place) ?? new Map<string, PinnedNamespace>();
		pins.set(place, kept);
		return new MemoryNamespaces(place, kept);
	},
});
