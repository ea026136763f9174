import {Authority} from '../test/helpers/authority.ts';
import {Registry} from '../test/helpers/registry.ts';
import {pushTestImages} from '../test/helpers/test-images.ts';
import {containerd16, containerd21, oursByClient, oursByTransfer, withEntrant, type Entrant} from './entrants.ts';
import {FarLink} from './far-link.ts';
import {onFreshDisk} from './fresh-disk.ts';
import {hostsDirectory} from './hosts-directory.ts';
import {add, inTurns, middle} from './in-turns.ts';
import {report} from './measure.ts';

/** Twice of it is what a round trip takes from a machine to a registry in the same part of the world. */
const DELAY_MS = 25;

/** busybox of a registry that is far away and speaks TLS, as those do that are no test's: round trips are most of it. First into a fresh daemon, then again at once. */
export async function farRegistry(): Promise<void> {
	await using authority = await Authority.create();
	await using stored = await Registry.start();
	const {busybox} = await pushTestImages(stored);
	await using registry = await Registry.start({tls: await authority.issue('registry'), of: stored});
	await using link = await FarLink.open(registry.host, DELAY_MS);
	await using hosts = await hostsDirectory(link.host, authority);
	const image = busybox.replace(stored.host, link.host);
	const over = (entrant: Entrant): Entrant => ({...entrant, reach: ['--hosts-dir', hosts.directory]});
	const [transfer, client, peer16, peer21] = [over(oursByTransfer), over(oursByClient), over(containerd16), over(containerd21)] as const;
	const first = new Map<Entrant, number[]>();
	const again = new Map<Entrant, number[]>();
	const connections = new Map<Entrant, string>();
	for (const entrant of inTurns([transfer, client, peer16, peer21])) {
		await onFreshDisk('tmpfs', async () => withEntrant(entrant, async pull => {
			const before = link.connections;
			add(first, entrant, await pull(image));
			const between = link.connections;
			add(again, entrant, await pull(image));
			connections.set(entrant, `${between - before} and ${link.connections - between}`);
		}));
	}
	console.log(`  a round trip takes ${2 * DELAY_MS} ms; connections of the first and the second pull: ${[...connections].map(([{name}, count]) => `${name} ${count}`).join(', ')}`);
	report('pull-far-transfer-vs-2.1', {ours: middle(first, transfer), peer: middle(first, peer21), unit: 's'});
	report('pull-far-client-vs-1.6', {ours: middle(first, client), peer: middle(first, peer16), unit: 's'});
	report('pull-far-again-vs-2.1', {ours: middle(again, transfer), peer: middle(again, peer21), unit: 's', target: 0.5});
	report('pull-far-again-vs-1.6', {ours: middle(again, transfer), peer: middle(again, peer16), unit: 's', target: 0.5});
	report('pull-far-again-client-vs-1.6', {ours: middle(again, client), peer: middle(again, peer16), unit: 's'});
}
