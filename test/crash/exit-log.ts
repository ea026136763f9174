import type {Client} from '../../client/index.ts';
import {until} from '../helpers/until.ts';

/** The exits that a client hears of which listens to one daemon after the other. */
export class ExitLog {
	readonly #client: Client;
	readonly #namespace: string;
	readonly #closing = new AbortController();
	readonly #heard: {readonly key: string; readonly exitStatus: number}[] = [];

	constructor(client: Client, namespace: string) {
		this.#client = client;
		this.#namespace = namespace;
	}

	/** Exit statuses, in the order in which they were told. @param id of the process: the container's own for its init */
	of(containerId: string, id = containerId): readonly number[] {
		return this.#heard.filter(({key}) => key === `${containerId}/${id}`).map(({exitStatus}) => exitStatus);
	}

	/** Resolves when the daemon that runs now tells this one what happens. */
	async listen(): Promise<void> {
		let heardPings = 0;
		let isListening = false;
		const hear = async (): Promise<void> => {
			isListening = true;
			try {
				for await (const {namespace, topic, fields} of this.#client.events({signal: this.#closing.signal})) {
					if (topic === '/crash/ping') {
						heardPings++;
					} else if (topic === '/tasks/exit' && namespace === this.#namespace) {
						const {containerId, id, exitStatus} = fields as {containerId: string; id: string; exitStatus: number};
						this.#heard.push({key: `${containerId}/${id}`, exitStatus});
					}
				}
			} catch {
				// The daemon is killed, or the connection to the last one was not yet seen to be gone.
			}
			isListening = false;
		};
		await until('events to be heard', async () => {
			if (!isListening) {
				void hear();
			}
			const event = {typeUrl: 'containerd.events.NamespaceDelete', value: Buffer.from([])};
			await this.#client.services.events.publish({topic: '/crash/ping', event}, {signal: AbortSignal.timeout(5000)}).catch(() => undefined);
			return heardPings > 0;
		});
	}

	close(): void {
		this.#closing.abort();
	}
}
