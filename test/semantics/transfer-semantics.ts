import type {ServiceError} from '@grpc/grpc-js';
import {StreamInit} from '../../api/gen/services/streaming/v1/streaming.ts';
import {ImageExportStream, ImageImportStream} from '../../api/gen/types/transfer/importexport.ts';
import {receiveStream, sendStream} from '../../client/image/byte-streams.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {until} from '../helpers/until.ts';
import type {Fact} from './semantics-suite.ts';

/** Streams that a transfer joins. */
export function transferSemantics(fact: Fact): void {
	fact('an archive comes back as it is from an import stream joined to an export stream, of no bytes as well', async (t, room) => {
		const {services} = room.client;
		for (const size of [0, 1, 300_000]) {
			const bytes = Buffer.alloc(size, 'keelson ');
			const chunks: Uint8Array[] = [];
			await using up = await sendStream(services, (async function* () {
				yield bytes;
			})());
			await using down = await receiveStream(services, async chunk => void chunks.push(chunk));
			const source = {typeUrl: 'containerd.types.transfer.ImageImportStream', value: ImageImportStream.encode(ImageImportStream.fromPartial({stream: up.id})).finish()};
			const destination = {typeUrl: 'containerd.types.transfer.ImageExportStream', value: ImageExportStream.encode(ImageExportStream.fromPartial({stream: down.id})).finish()};
			await Promise.all([services.transfer.transfer({source, destination}), up.done, down.done]);
			t.true(Buffer.concat(chunks).equals(bytes), `${size} bytes`);
		}
	}, {since: '2.1'});

	fact('a stream that was opened under a lease ends with the lease, one without when its connection does', async (t, room) => {
		const {streaming, leases} = room.client.services;
		const {lease} = await leases.create({id: 'of-streams', labels: {}});
		using hold = new DisposableStack();
		const open = async (id: string, options: {lease?: string}): Promise<AsyncIterator<unknown>> => {
			const held = Promise.withResolvers<void>();
			hold.defer(() => held.resolve());
			const answers = streaming.stream((async function* () {
				yield {typeUrl: 'containerd.services.streaming.v1.StreamInit', value: StreamInit.encode({id}).finish()};
				await held.promise;
			})(), options)[Symbol.asyncIterator]();
			t.is((await answers.next()).done, false, 'it is accepted');
			return answers;
		};
		const [leased, free] = [await open('leased', {lease: lease?.id ?? ''}), await open('free', {})];
		const ends = {leased: false, free: false};
		const told = leased.next().then(() => undefined, () => undefined).then(() => {
			ends.leased = true;
		});
		void free.next().then(() => undefined, () => undefined).then(() => {
			ends.free = true;
		});
		await leases.delete({id: 'of-streams', sync: true});
		await until('the stream to end', () => ends.leased);
		await told;
		t.false(ends.free);
	}, {since: '2.1'});

	fact('what a registry refuses is named in the error, with its status: a detail that programs read comes with none of it', async (t, room) => {
		const {client} = room;
		await using registry = await HttpStub.start((request, response) => {
			response.writeHead(403, {'content-type': 'application/json'}).end(request.method === 'HEAD' ? '' : '{"errors":[{"code":"DENIED","message":"not for you"}]}');
		});
		const error = await t.throwsAsync(client.images.pull(`${registry.host}/refused:1`, {plainHttp: true}));
		t.regex(error.message, new RegExp(`unexpected status from HEAD request to http://${registry.host}/v2/refused/manifests/1: 403 Forbidden`, 'v'));
		// containerd 2.1 has a type for it, and sends it with no answer that was seen.
		t.deepEqual((error.cause as ServiceError).metadata.get('grpc-status-details-bin'), []);
	}, {since: '2.1'});
}
