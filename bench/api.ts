import {Client, credentials, Metadata} from '@grpc/grpc-js';
import {VersionDefinition} from '../api/gen/services/version/v1/version.ts';
import {ContainersDefinition} from '../api/gen/services/containers/v1/containers.ts';
import {inTurn, withContestants, type Contestant} from './contestants.ts';
import {median, percentile, report, timed} from './measure.ts';

const LATENCY_CALLS = 400;
const RATE_CALLS = 4000;
const RATE_CALLERS = 16;

/** Unary calls: one at a time, and sixteen at a time. One client for both: Node's, whose own cost both pay. */
export async function benchApi(): Promise<void> {
	await withContestants('api', async (ours, peer) => {
		const clients = new Map([ours, peer].map(contestant => [contestant.who, new ApiClient(contestant)]));
		const client = ({who}: Contestant): ApiClient => clients.get(who) as ApiClient;
		try {
			for (const kind of ['version', 'containers'] as const) {
				const latency = await inTurn(6, [ours, peer], async contestant => client(contestant).latency(kind));
				report(`unary-${kind}-p50`, {ours: median(latency.ours.slice(1)), peer: median(latency.peer.slice(1)), unit: 'us'});
				const rate = await inTurn(5, [ours, peer], async contestant => client(contestant).rate(kind));
				report(`unary-${kind}-per-second`, {ours: median(rate.ours.slice(1)), peer: median(rate.peer.slice(1)), unit: '/s', direction: 'throughput'});
			}
		} finally {
			for (const one of clients.values()) {
				one.close();
			}
		}
	});
}

type Kind = 'version' | 'containers';

class ApiClient {
	readonly #client: Client;
	readonly #metadata = new Metadata();

	constructor({daemon, ctr}: Contestant) {
		this.#client = new Client(`unix:${daemon.places.address}`, credentials.createInsecure(), {'grpc.default_authority': 'localhost'});
		this.#metadata.set('containerd-namespace', ctr.namespace);
	}

	/** Microseconds, the median of one caller's calls. */
	async latency(kind: Kind): Promise<number> {
		const samples: number[] = [];
		for (let call = 0; call < LATENCY_CALLS; call++) {
			samples.push(1000 * await timed(async () => this.#call(kind)));
		}
		return percentile(samples, 0.5);
	}

	/** Calls a second with sixteen callers. */
	async rate(kind: Kind): Promise<number> {
		let left = RATE_CALLS;
		const elapsedMs = await timed(async () => Promise.all(Array.from({length: RATE_CALLERS}, async () => {
			while (left-- > 0) {
				await this.#call(kind);
			}
		})));
		return RATE_CALLS / (elapsedMs / 1000);
	}

	close(): void {
		this.#client.close();
	}

	async #call(kind: Kind): Promise<void> {
		const [definition, method, request] = kind === 'version'
			? [VersionDefinition, VersionDefinition.methods.version, Buffer.alloc(0)] as const
			: [ContainersDefinition, ContainersDefinition.methods.list, Buffer.from(ContainersDefinition.methods.list.requestType.encode({filters: []}).finish())] as const;
		await new Promise<void>((resolve, reject) => {
			this.#client.makeUnaryRequest(`/${definition.fullName}/${method.name}`, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes, request, this.#metadata, error => {
				if (error === null) {
					resolve();
				} else {
					reject(error);
				}
			});
		});
	}
}
