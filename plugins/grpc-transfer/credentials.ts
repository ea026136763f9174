import {AuthRequest, AuthResponse, AuthType} from '../../api/gen/types/transfer/registry.ts';
import type {Credentials} from '../../contracts/fetch/fetch.ts';
import type {Stream} from '../../contracts/stream/stream.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {decode} from './byte-streams.ts';

/** Asks a client for credentials over a stream, one question at a time; it is told what the registry challenged with. */
export function credentialsOver(stream: Stream, reference: string): (host: string, signal: AbortSignal, challenge: string) => Promise<Credentials | undefined> {
	let last: Promise<unknown> = Promise.resolve();
	return async (host, signal, challenge) => {
		const answer = last.then(async () => ask(stream, {host, reference, wwwauthenticate: challenge === '' ? [] : [challenge]}, signal));
		last = answer.catch(() => {});
		return answer;
	};
}

async function ask(stream: Stream, question: AuthRequest, signal: AbortSignal): Promise<Credentials | undefined> {
	const value = AuthRequest.encode(question).finish();
	await stream.send({typeUrl: 'containerd.types.transfer.AuthRequest', value}, signal);
	const message = await stream.receive(signal);
	if (message === undefined) {
		throw new KeelsonError('UNAVAILABLE', `the client has closed its stream instead of giving credentials for ${question.host}`);
	}
	const {authType, username, secret} = decode(message, 'containerd.types.transfer.AuthResponse', AuthResponse);
	switch (authType) {
		case AuthType.CREDENTIALS:
			return {username, secret};
		case AuthType.REFRESH:
			return {username: '', secret};
		case AuthType.HEADER:
			return {username: '', secret: '', header: secret};
		case AuthType.NONE:
			return undefined;
		default:
			throw new KeelsonError('INVALID_ARGUMENT', `the client answers with credentials of kind ${String(authType)} for ${question.host}`);
	}
}
