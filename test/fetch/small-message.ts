import type {SmallRequest} from '../../plugins/fetch-oci/small-message.ts';

export function message(url: URL, more: Partial<SmallRequest> = {}): SmallRequest {
	return {method: 'GET', url, headers: {}, body: undefined, trust: {skipVerify: false}, headersTimeoutMs: 5000, stallTimeoutMs: 5000, signal: undefined, ...more};
}

export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
	return Buffer.concat(await Array.fromAsync(body)).toString();
}
