import type {Any} from '../api/gen/google/protobuf/any.ts';
import {ContainersDefinition, CreateContainerRequest, GetContainerRequest, ListContainersRequest} from '../api/gen/services/containers/v1/containers.ts';
import {CreateImageRequest, ImagesDefinition, ListImagesRequest} from '../api/gen/services/images/v1/images.ts';
import {VersionDefinition} from '../api/gen/services/version/v1/version.ts';
import {Registry} from '../test/helpers/registry.ts';
import {pushTestImages} from '../test/helpers/test-images.ts';
import {ApiClient, placeOf, type Call} from './api-client.ts';
import {inTurn, withContestants, type Contestant} from './contestants.ts';
import {benchContent} from './content.ts';
import {benchEvents} from './events.ts';
import {median, percentile, report, timed} from './measure.ts';

const LATENCY_CALLS = 400;
const RATE_CALLS = 4000;
/** Both are daemons in use: Node compiles what is called again and again. */
const WARM_CALLS = 10_000;
const ROUNDS = 6;
const LIST_ROUNDS = 6;
/** Of long answers few are enough; the p99 of so few is their longest but for the first round's. */
const IMAGE_LISTS = 20;
const CONTAINER_LISTS = 5;
const STREAMS = 2;
const IMAGES = 1000;
const CONTAINERS = 10_000;
/** A reply has 16 MiB. */
const SMALL_SPEC_BYTES = 600;
const CREATORS = 16;

/** The API against Debian's containerd: unary calls, content, events and lists. */
export const apiContests: Readonly<Record<string, () => Promise<void>>> = {
	'api-unary': contest(unary),
	'api-content': contest(benchContent),
	'api-events': contest(benchEvents),
	'api-lists': contest(lists),
};

type Both = readonly [Contestant, Contestant];
type ClientOf = (contestant: Contestant) => ApiClient;

function contest(work: (both: Both, client: ClientOf) => Promise<void>): () => Promise<void> {
	return async () => {
		await using registry = await Registry.start();
		const {busybox} = await pushTestImages(registry);
		await withContestants('api', async (ours, peer) => {
			using clients = new DisposableStack();
			const byWho = {ours: clients.use(new ApiClient(placeOf(ours))), peer: clients.use(new ApiClient(placeOf(peer)))};
			for (const {who, ctr} of [ours, peer]) {
				await ctr.ok('images', 'pull', '--plain-http', busybox);
				await ctr.ok('containers', 'create', busybox, 'real');
				await byWho[who].rate(version, WARM_CALLS);
			}
			await work([ours, peer], ({who}) => byWho[who]);
		});
	};
}

async function unary(both: Both, client: ClientOf): Promise<void> {
	for (const [name, call] of [['version', version], ['containers-get', getContainer('real')]] as const) {
		await measure(`unary-${name}`, both, {
			rounds: ROUNDS, unit: 'us',
			latencies: async contestant => client(contestant).latencies(call, LATENCY_CALLS),
			rate: async contestant => client(contestant).rate(call, RATE_CALLS),
		});
	}
}

interface Measured {
	/** The first of which warms up. */
	readonly rounds: number;
	readonly unit: 'us' | 'ms';
	/** Milliseconds of calls one after the other. */
	readonly latencies: (contestant: Contestant) => Promise<readonly number[]>;
	/** Calls a second of several callers. */
	readonly rate: (contestant: Contestant) => Promise<number>;
}

/** Reports p50 (of the rounds' medians), p99 (of all calls) and calls a second. */
async function measure(name: string, both: Both, {rounds, unit, latencies, rate}: Measured): Promise<void> {
	const scale = unit === 'us' ? 1000 : 1;
	const all: Record<Contestant['who'], number[]> = {ours: [], peer: []};
	const latency = await inTurn(rounds, both, async (contestant, round) => {
		const samples = await latencies(contestant);
		all[contestant.who].push(...round === 0 ? [] : samples);
		return percentile(samples, 0.5) * scale;
	});
	report(`${name}-p50`, {ours: median(latency.ours.slice(1)), peer: median(latency.peer.slice(1)), unit, target: 1.5});
	report(`${name}-p99`, {ours: percentile(all.ours, 0.99) * scale, peer: percentile(all.peer, 0.99) * scale, unit});
	const rates = await inTurn(rounds - 1, both, rate);
	report(`${name}-per-second`, {ours: median(rates.ours.slice(1)), peer: median(rates.peer.slice(1)), unit: '/s', direction: 'throughput'});
}

async function lists(both: Both, client: ClientOf): Promise<void> {
	const small: Any = {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Buffer.from(JSON.stringify({ociVersion: '1.0.2', annotations: {filler: 'x'.repeat(SMALL_SPEC_BYTES)}}))};
	const real = ContainersDefinition.methods.get.responseType.decode(await client(both[1]).unary(getContainer('real'))).container?.spec;
	const target = {mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'1'.repeat(64)}`, size: 1000n, annotations: {}};
	for (const contestant of both) {
		await many(IMAGES, async at => client(contestant).unary({
			service: ImagesDefinition.fullName, method: ImagesDefinition.methods.create,
			request: CreateImageRequest.encode(CreateImageRequest.fromPartial({image: {name: `registry.example/image-${at}:latest`, target}})).finish(),
		}));
		await createContainers(client(contestant), 'small', small);
	}
	const images: Call = {service: ImagesDefinition.fullName, method: ImagesDefinition.methods.list, request: ListImagesRequest.encode({filters: []}).finish()};
	await measure(`images-list-${IMAGES}`, both, {
		rounds: LIST_ROUNDS, unit: 'ms',
		latencies: async contestant => client(contestant).latencies(images, IMAGE_LISTS),
		rate: async contestant => client(contestant).rate(images, IMAGE_LISTS),
	});

	const containers: Call = {service: ContainersDefinition.fullName, method: ContainersDefinition.methods.list, request: ListContainersRequest.encode({filters: []}).finish()};
	await measure(`containers-list-${CONTAINERS}`, both, {
		rounds: LIST_ROUNDS, unit: 'ms',
		latencies: async contestant => client(contestant).latencies(containers, CONTAINER_LISTS),
		rate: async contestant => client(contestant).rate(containers, CONTAINER_LISTS),
	});
	for (const contestant of both) {
		await createContainers(client(contestant), 'real', real);
	}
	const stream: Call = {...containers, method: ContainersDefinition.methods.listStream, request: ListContainersRequest.encode({filters: ['id~=/^real-/']}).finish()};
	const streamAll = async (contestant: Contestant): Promise<void> => {
		let count = 0;
		await client(contestant).stream(stream, () => {
			count++;
		});
		if (count !== CONTAINERS) {
			throw new Error(`${contestant.name}: ${count} of ${CONTAINERS} containers came`);
		}
	};
	await measure(`containers-list-stream-${CONTAINERS}`, both, {
		rounds: LIST_ROUNDS, unit: 'ms',
		latencies: async contestant => {
			const samples: number[] = [];
			for (let at = 0; at < STREAMS; at++) {
				samples.push(await timed(async () => streamAll(contestant)));
			}
			return samples;
		},
		rate: async contestant => STREAMS * 1000 / await timed(async () => Promise.all(Array.from({length: STREAMS}, async () => streamAll(contestant)))),
	});
}

async function createContainers(client: ApiClient, prefix: string, spec: Any | undefined): Promise<void> {
	await many(CONTAINERS, async at => client.unary({
		service: ContainersDefinition.fullName, method: ContainersDefinition.methods.create,
		request: CreateContainerRequest.encode(CreateContainerRequest.fromPartial({container: {id: `${prefix}-${at}`, runtime: {name: 'io.containerd.runc.v2'}, ...(spec === undefined ? {} : {spec})}})).finish(),
	}));
}

async function many(count: number, work: (at: number) => Promise<unknown>): Promise<void> {
	let next = 0;
	await Promise.all(Array.from({length: CREATORS}, async () => {
		while (next < count) {
			await work(next++);
		}
	}));
}

const version: Call = {service: VersionDefinition.fullName, method: VersionDefinition.methods.version, request: Buffer.alloc(0)};

function getContainer(id: string): Call {
	return {service: ContainersDefinition.fullName, method: ContainersDefinition.methods.get, request: GetContainerRequest.encode({id}).finish()};
}
