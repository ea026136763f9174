import {ImageExportStream, ImageImportStream} from '../../api/gen/types/transfer/importexport.ts';
import {receiveStream, sendStream} from '../../client/image/byte-streams.ts';
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
}
