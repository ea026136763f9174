import type {Trust} from '../../plugins/fetch-oci/hosts.ts';
import {Authority, type Issued} from '../helpers/authority.ts';

/** A server's certificate, and a client's trust in it; the authority goes with the test. */
export async function issued(t: {teardown(done: () => Promise<void>): void}): Promise<{readonly issued: Issued; readonly trust: Trust}> {
	const authority = await Authority.create();
	t.teardown(async () => authority[Symbol.asyncDispose]());
	return {issued: await authority.issue('server'), trust: {skipVerify: false, ca: [authority.root.certificate]}};
}
