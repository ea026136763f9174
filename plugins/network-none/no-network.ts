import type {Attachment, Network} from '../../contracts/network/network.ts';

/** Leaves a namespace for somebody else to populate, until Tasks.Start: a whole network plugin that attaches nothing. */
export class NoNetwork implements Network {
	async attach(): Promise<Attachment> {
		return {interfaces: []};
	}

	async detach(): Promise<void> {
		// Nothing was attached.
	}
}
