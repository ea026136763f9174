import {randomBytes} from 'node:crypto';
import {endToEnd} from '../helpers/end-to-end.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {image, layer, type Blob} from '../helpers/oci-image.ts';
import {tar} from '../helpers/tar-writer.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('resume', {pulls: false});
const LAYER_BYTES = 40 * 1024 * 1024;

scenario('a download that kill -9 of the daemon cut goes on where it stopped', async ({t, daemon, fresh}) => {
	const ctr = fresh();
	const big = layer(tar([{name: 'big', body: randomBytes(LAYER_BYTES)}]), 'none');
	const whole = image([big], {Cmd: ['/big']});
	const most = Math.floor(big.bytes.length * 0.8);
	const served: number[] = [];
	await using registry = await HttpStub.start((request, response) => {
		const path = request.url ?? '';
		const part: Blob | undefined = path.includes('/manifests/') ? whole.manifest : [whole.config, ...whole.layers].find(({digest}) => path.endsWith(digest));
		if (part === undefined) {
			response.writeHead(path === '/v2/' ? 200 : 404).end();
			return;
		}
		const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
		const headers = {'content-type': part.mediaType, 'docker-content-digest': part.digest, 'content-length': part.bytes.length - from};
		response.writeHead(from > 0 ? 206 : 200, from > 0 ? {...headers, 'content-range': `bytes ${from}-${part.bytes.length - 1}/${part.bytes.length}`} : headers);
		if (request.method === 'HEAD') {
			response.end();
		} else if (part.digest !== big.digest) {
			response.end(part.bytes);
		} else {
			served.push(part.bytes.length - from);
			if (served.length === 1) {
				// The rest never comes.
				response.write(part.bytes.subarray(0, most));
			} else {
				response.end(part.bytes.subarray(from));
			}
		}
	});
	const reference = `${registry.host}/big:1`;
	const pulling = ctr.with({timeoutMs: 90_000}, 'images', 'pull', '--plain-http', reference);
	await until('80 % of the layer to be kept', async () => (await ctr.ok('content', 'active')).includes('33.56MB'), {timeoutMs: 60_000, everyMs: 100});
	await daemon.kill9();
	t.not((await pulling).code, 0);
	await daemon.start();
	await ctr.ok('images', 'pull', '--plain-http', reference);
	t.is(served.length, 2);
	t.true((served[1] ?? Infinity) <= big.bytes.length / 4, `${served[1]} of ${big.bytes.length} bytes were fetched again`);
	t.deepEqual(await ctr.rows('content', 'active'), []);
	// The lease of the dead transfer kept what it had begun, and would let it go within a day.
	await ctr.ok('leases', 'rm', '--sync', ...await ctr.lines('leases', 'ls', '-q'));
	await ctr.ok('images', 'rm', '--sync', reference);
	t.deepEqual(await ctr.lines('content', 'ls', '-q'), []);
}, {only: 'keelson', since: '2.1'});
