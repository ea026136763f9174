import type {Client} from '../../client/index.ts';

/** A lease for calls: what nothing refers to yet is collected, with a peer also when another test deletes something. */
export async function hold(client: Client): Promise<{readonly lease: string}> {
	await client.services.leases.create({id: 'holder'});
	return {lease: 'holder'};
}
